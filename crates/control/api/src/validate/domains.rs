//! Custom domains: host name, protocol and certificate, and targets of paths (contract 2.8).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use types::domain::{DomainEndpoint, DomainProtocol, PathRewrite};
use types::wire::Tag;
use types::{ApiError, CustomDomain, ErrorCode, Qualifier};

use super::{filled, invalid, names, paths, quoted, required};
use crate::config::Config;

/// Characters of a host name, and of one of its labels (RFC 1035 section 2.3.4).
const NAME_LEN_MAX: usize = 253;
const LABEL_LEN_MAX: usize = 63;
/// API name of the object that is stored only for answers.
pub(crate) const WAF: &str = "WafConfig";
/// Rewrite type with a wildcard.
const WILDCARD: &str = "WildcardRules";
const EXACT: &str = "ExactRules";

/// `EndpointsConf`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EndpointsConf {
    pub namespace: Option<String>,
    pub function_name: Option<String>,
    pub qualifier: Option<String>,
    pub path_match: Option<String>,
    pub path_rewrite: Option<Vec<PathRewriteRule>>,
}

/// `PathRewriteRule`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PathRewriteRule {
    pub path: Option<String>,
    /// `WildcardRules` or `ExactRules`.
    pub r#type: Option<String>,
    pub rewrite: Option<String>,
}

/// `CertConf`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CertConf {
    pub certificate_id: Option<String>,
}

/// `WafConf`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct WafConf {
    pub waf_open: Option<String>,
    pub waf_instance_id: Option<String>,
}

/// Fields of a domain in a request; `None` for omitted ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub protocol: Option<String>,
    pub endpoints: Option<Vec<EndpointsConf>>,
    pub certificate: Option<CertConf>,
    pub waf: Option<WafConf>,
    pub tags: Option<Vec<Tag>>,
}

/// Limits and certificates that a domain is validated against.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub config: &'a Config,
    /// Names of the gateway's certificates.
    pub certificates: &'a BTreeSet<String>,
}

/// A host name, in lower case.
pub(crate) fn name(text: Option<&str>) -> Result<String, ApiError> {
    let text = required("Domain", filled(text))?;
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=LABEL_LEN_MAX).contains(&label.len())
            && label.chars().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A host with a numeric last label is an address.
    let ends = name.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() <= NAME_LEN_MAX && name.contains('.') && ends && name.split('.').all(label) {
        return Ok(name);
    }
    let problem = format!(
        "{} is no host name; use two or more labels of letters, digits and '-' with dots between them, such as \
         shop.example.com, without '*' and port",
        quoted(text)
    );
    Err(invalid(ErrorCode::INVALID_VALUE_DOMAIN, "Domain", problem))
}

/// Refuses a host that is the host of a function, two labels below one of the domains for them: the
/// domain would take it over.
pub(crate) fn check_is_no_function_host(name: &str, function_domains: &[String]) -> Result<(), ApiError> {
    let has_functions = |domain: &&String| {
        let labels = name.strip_suffix(domain.as_str()).and_then(|labels| labels.strip_suffix('.'));
        labels.is_some_and(|labels| labels.split('.').count() == 2)
    };
    let Some(domain) = function_domains.iter().find(has_functions) else { return Ok(()) };
    let problem = format!(
        "{} is the host of a function, NAME.NAMESPACE.{domain} ([gateway] domains); use another host name",
        quoted(name)
    );
    Err(invalid(ErrorCode::INVALID_VALUE_DOMAIN, "Domain", problem))
}

/// A new domain.
pub(crate) fn new(name: String, given: &Given, limits: Limits<'_>) -> Result<CustomDomain, ApiError> {
    required("Protocol", filled(given.protocol.as_deref()))?;
    required("EndpointsConfig", given.endpoints.as_ref())?;
    let empty = CustomDomain {
        domain: name,
        protocol: DomainProtocol::Http,
        endpoints: Vec::new(),
        certificate: None,
        carried: serde_json::Map::new(),
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    };
    changed(&empty, given, limits)
}

/// Applies the given fields to a domain; omitted fields are unchanged.
pub(crate) fn changed(old: &CustomDomain, given: &Given, limits: Limits<'_>) -> Result<CustomDomain, ApiError> {
    let mut domain = old.clone();
    if let Some(text) = filled(given.protocol.as_deref()) {
        domain.protocol = protocol(text)?;
    }
    if let Some(endpoints) = &given.endpoints {
        domain.endpoints = self::endpoints(endpoints, limits.config)?;
    }
    if let Some(certificate) = &given.certificate {
        domain.certificate = filled(certificate.certificate_id.as_deref()).map(str::to_owned);
    }
    if let Some(waf) = &given.waf {
        firewall(waf)?;
        let value = serde_json::to_value(waf).expect("texts always serialize");
        domain.carried.insert(WAF.to_owned(), value);
    }
    if let Some(tags) = &given.tags {
        domain.tags = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    }
    check_certificate(&domain, limits.certificates)?;
    Ok(domain)
}

fn protocol(text: &str) -> Result<DomainProtocol, ApiError> {
    match text {
        "HTTP" => Ok(DomainProtocol::Http),
        "HTTPS" => Ok(DomainProtocol::Https),
        "HTTP&HTTPS" => Ok(DomainProtocol::Both),
        other => {
            let problem = format!("{} is not allowed; use HTTP, HTTPS or HTTP&HTTPS", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE, "Protocol", problem))
        }
    }
}

/// The API's name of a protocol.
pub(crate) fn protocol_word(protocol: DomainProtocol) -> &'static str {
    match protocol {
        DomainProtocol::Http => "HTTP",
        DomainProtocol::Https => "HTTPS",
        DomainProtocol::Both => "HTTP&HTTPS",
    }
}

/// Refuses TLS without a certificate, and a certificate that the gateway does not have.
fn check_certificate(domain: &CustomDomain, known: &BTreeSet<String>) -> Result<(), ApiError> {
    const FIELD: &str = "CertConfig.CertificateId";
    match &domain.certificate {
        None if domain.protocol == DomainProtocol::Http => Ok(()),
        None => {
            let protocol = protocol_word(domain.protocol);
            let problem = format!("{FIELD}: it is required with the protocol {protocol}");
            Err(ApiError::new(ErrorCode::MISSING_PARAMETER, problem))
        }
        Some(name) if known.contains(name) => Ok(()),
        Some(name) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let problem = format!("the gateway's configuration has no certificate {}; it has {known}", quoted(name));
            Err(invalid(ErrorCode::FAILED_SSL, FIELD, problem))
        }
    }
}

/// Refuses to enable the firewall: this platform has none.
fn firewall(waf: &WafConf) -> Result<(), ApiError> {
    match filled(waf.waf_open.as_deref()) {
        None | Some("CLOSE") => Ok(()),
        Some("OPEN") => {
            let problem = "there is no web application firewall here; put one in front of the gateway, and use CLOSE";
            Err(invalid(ErrorCode::UNSUPPORTED_OPERATION, "WafConfig.WafOpen", problem))
        }
        Some(other) => {
            let problem = format!("{} is not allowed; use CLOSE", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE, "WafConfig.WafOpen", problem))
        }
    }
}

fn endpoints(given: &[EndpointsConf], config: &Config) -> Result<Vec<DomainEndpoint>, ApiError> {
    bounded("EndpointsConfig", given.len(), config.domain_endpoints_max)?;
    if given.is_empty() {
        return Err(invalid(ErrorCode::INVALID_VALUE, "EndpointsConfig", "it is empty; use one endpoint or more"));
    }
    let mut endpoints: Vec<DomainEndpoint> = Vec::with_capacity(given.len());
    for (index, given) in given.iter().enumerate() {
        let field = |name: &str| format!("EndpointsConfig.{index}.{name}");
        let endpoint = endpoint(given, &field, config.endpoint_rewrites_max)?;
        if endpoints.iter().any(|earlier| earlier.path == endpoint.path) {
            let problem = format!("{} is given more than once", quoted(&endpoint.path));
            return Err(invalid(ErrorCode::INVALID_VALUE, &field("PathMatch"), problem));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn endpoint(
    given: &EndpointsConf,
    field: &impl Fn(&str) -> String,
    rewrites_max: usize,
) -> Result<DomainEndpoint, ApiError> {
    let namespace = names::namespace(&field("Namespace"), given.namespace.as_deref())?;
    let code = ErrorCode::INVALID_VALUE_FUNCTION_NAME;
    let key = names::named(&field("FunctionName"), given.function_name.as_deref(), namespace, code)?;
    let qualifier_field = field("Qualifier");
    let qualifier: Qualifier = required(&qualifier_field, filled(given.qualifier.as_deref()))?
        .parse()
        .map_err(|error| invalid(ErrorCode::INVALID_VALUE_QUALIFIER, &qualifier_field, error))?;
    let path = paths::pattern(&field("PathMatch"), given.path_match.as_deref())?;
    let rules = given.path_rewrite.as_deref().unwrap_or_default();
    bounded(&field("PathRewrite"), rules.len(), rewrites_max)?;
    let rewrites = rules
        .iter()
        .enumerate()
        .map(|(index, rule)| rewrite(rule, &|name| field(&format!("PathRewrite.{index}.{name}"))))
        .collect::<Result<_, _>>()?;
    Ok(DomainEndpoint { path, namespace: key.namespace, function: key.name, qualifier, rewrites })
}

fn rewrite(given: &PathRewriteRule, field: &dyn Fn(&str) -> String) -> Result<PathRewrite, ApiError> {
    let wildcard = match required(&field("Type"), filled(given.r#type.as_deref()))? {
        WILDCARD => true,
        EXACT => false,
        other => {
            let problem = format!("{} is not allowed; use {WILDCARD} or {EXACT}", quoted(other));
            return Err(invalid(ErrorCode::INVALID_VALUE, &field("Type"), problem));
        }
    };
    let path = paths::pattern(&field("Path"), given.path.as_deref())?;
    let starred = path.ends_with('*');
    if starred != wildcard {
        let problem = format!("{} does not fit; {WILDCARD} end in '*', and {EXACT} do not", quoted(&path));
        return Err(invalid(ErrorCode::INVALID_VALUE, &field("Path"), problem));
    }
    let rewrite = paths::replacement(&field("Rewrite"), given.rewrite.as_deref())?;
    Ok(PathRewrite { path, wildcard, rewrite })
}

/// An endpoint in answers.
pub(crate) fn shown(endpoint: &DomainEndpoint) -> EndpointsConf {
    let rule = |rewrite: &PathRewrite| PathRewriteRule {
        path: Some(rewrite.path.clone()),
        r#type: Some(if rewrite.wildcard { WILDCARD } else { EXACT }.to_owned()),
        rewrite: Some(rewrite.rewrite.clone()),
    };
    EndpointsConf {
        namespace: Some(endpoint.namespace.to_string()),
        function_name: Some(endpoint.function.to_string()),
        qualifier: Some(endpoint.qualifier.to_string()),
        path_match: Some(endpoint.path.clone()),
        path_rewrite: Some(endpoint.rewrites.iter().map(rule).collect()),
    }
}

fn bounded(field: &str, len: usize, len_max: usize) -> Result<(), ApiError> {
    if len > len_max {
        let problem = format!("there are {len}; at most {len_max} are allowed");
        return Err(invalid(ErrorCode::LIMIT_EXCEEDED, field, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn at(path: &str) -> EndpointsConf {
        EndpointsConf {
            function_name: text("hello"),
            qualifier: text("$DEFAULT"),
            path_match: text(path),
            ..EndpointsConf::default()
        }
    }

    fn given(protocol: &str, endpoints: Vec<EndpointsConf>) -> Given {
        Given { protocol: text(protocol), endpoints: Some(endpoints), ..Given::default() }
    }

    fn made(given: &Given) -> Result<CustomDomain, &'static str> {
        let (config, certificates) = (Config::default(), BTreeSet::from(["main".to_owned()]));
        let limits = Limits { config: &config, certificates: &certificates };
        new("a.example.com".to_owned(), given, limits).map_err(|error| error.code.name)
    }

    #[test]
    fn a_domain_is_a_host_name_of_several_labels() {
        assert_eq!(name(Some("Shop.Example.COM")), Ok("shop.example.com".to_owned()));
        assert!(name(Some(&format!("{}.com", "a".repeat(63)))).is_ok());
        for bad in [
            "com",
            "a..b",
            ".a.b",
            "a.b.",
            "*.a.b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a.b:80",
            "10.0.0.1",
            "a.b/c",
            "é.com",
            &format!("{}.com", "a".repeat(64)),
            &format!("{}b.c", "a.".repeat(130)),
        ] {
            assert_eq!(name(Some(bad)).expect_err(bad).code.name, "InvalidParameterValue.Domain");
        }
        assert_eq!(name(Some("")).expect_err("missing").code.name, "MissingParameter");
    }

    #[test]
    fn endpoints_say_everything_once() {
        let domain = made(&given("HTTP", vec![at("/"), at("/*"), at("/a/*")])).expect("valid");
        assert_eq!(domain.endpoints.len(), 3);
        assert_eq!(domain.endpoints[0].namespace.as_str(), "default");
        assert_eq!(made(&given("HTTP", vec![at("/"), at("/")])), Err("InvalidParameterValue"));
        assert_eq!(made(&given("HTTP", Vec::new())), Err("InvalidParameterValue"));
        assert_eq!(made(&given("HTTP", vec![at("/"); 101])), Err("LimitExceeded"));
        assert_eq!(made(&Given { endpoints: None, ..given("HTTP", Vec::new()) }), Err("MissingParameter"));
        assert_eq!(made(&given("HTTP", vec![EndpointsConf { qualifier: None, ..at("/") }])), Err("MissingParameter"));
        let unnamed = EndpointsConf { function_name: None, ..at("/") };
        assert_eq!(made(&given("HTTP", vec![unnamed])), Err("MissingParameter"));
        assert_eq!(made(&given("FTP", vec![at("/")])), Err("InvalidParameterValue"));
    }

    #[test]
    fn tls_takes_a_certificate_that_is_there() {
        let with = |protocol, name: Option<&str>| {
            let certificate = Some(CertConf { certificate_id: name.map(str::to_owned) });
            made(&Given { certificate, ..given(protocol, vec![at("/")]) })
        };
        assert_eq!(with("HTTPS", Some("main")).expect("valid").certificate.as_deref(), Some("main"));
        assert_eq!(with("HTTP&HTTPS", None), Err("MissingParameter"));
        assert_eq!(with("HTTPS", Some("")), Err("MissingParameter"));
        assert_eq!(with("HTTPS", Some("other")), Err("FailedOperation.Ssl"));
        assert!(with("HTTP", None).is_ok());
    }

    #[test]
    fn a_firewall_is_not_pretended() {
        let with = |open: &str| {
            let waf = Some(WafConf { waf_open: text(open), waf_instance_id: None });
            made(&Given { waf, ..given("HTTP", vec![at("/")]) })
        };
        assert_eq!(with("CLOSE").expect("valid").carried[WAF]["WafOpen"], "CLOSE");
        assert_eq!((with("OPEN"), with("x")), (Err("UnsupportedOperation"), Err("InvalidParameterValue")));
    }

    #[test]
    fn rules_fit_their_kind_and_come_back_as_they_were_given() {
        let with = |kind: &str, path: &str, to: &str| {
            let rule = PathRewriteRule { path: text(path), r#type: text(kind), rewrite: text(to) };
            made(&given("HTTP", vec![EndpointsConf { path_rewrite: Some(vec![rule]), ..at("/*") }]))
        };
        let domain = with(WILDCARD, "/a/*", "/$").expect("valid");
        let back = shown(&domain.endpoints[0]);
        assert_eq!((back.path_match, back.function_name), (text("/*"), text("hello")));
        let rule = &back.path_rewrite.expect("rules")[0];
        assert_eq!((&rule.path, &rule.r#type, &rule.rewrite), (&text("/a/*"), &text(WILDCARD), &text("/$")));
        assert!(with(EXACT, "/a", "/b").is_ok());
        for (kind, path, to) in [(EXACT, "/a/*", "/b"), (WILDCARD, "/a", "/b"), ("x", "/a", "/b"), (EXACT, "/a", "b")] {
            assert_eq!(with(kind, path, to), Err("InvalidParameterValue"), "{kind} {path} {to}");
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let (config, certificates) = (Config::default(), BTreeSet::new());
        let limits = Limits { config: &config, certificates: &certificates };
        let tags = Some(vec![Tag { key: "team".to_owned(), value: "blue".to_owned() }]);
        let old = made(&Given { tags, ..given("HTTP", vec![at("/")]) }).expect("valid");
        assert_eq!(changed(&old, &Given::default(), limits), Ok(old.clone()));
        let only = Given { endpoints: Some(vec![at("/a"), at("/b")]), ..Given::default() };
        let new = changed(&old, &only, limits).expect("valid");
        assert_eq!((new.endpoints.len(), new.tags), (2, old.tags));
    }
}
