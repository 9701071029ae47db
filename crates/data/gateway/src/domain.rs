//! Custom domains: map a host name and a path to a function, and to the path that the function
//! receives. Pure: reads one snapshot.
//!
//! Paths are compared as they were sent. An endpoint whose path is equal precedes those with `*`,
//! and of those the longest comes first; `/a/*` matches everything below `/a/`, but not `/a`.

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use http::uri::{InvalidUri, PathAndQuery};
use types::domain::{DomainEndpoint, DomainProtocol, PathRewrite};
use types::{Catalog, CustomDomain, FunctionKey};

use crate::host;
use crate::lookup::{Found, NotFound};

/// Why a request to a custom domain reaches no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// The request came without TLS.
    #[error("{domain} takes requests over HTTPS only")]
    HttpsOnly {
        /// The domain.
        domain: String,
    },
    /// The request came over TLS.
    #[error("{domain} takes requests over plain HTTP only")]
    HttpOnly {
        /// The domain.
        domain: String,
    },
    /// No endpoint matches the path.
    #[error("no path of {domain} leads to a function here; `sampan domain get {domain}` shows those that do")]
    Path {
        /// The domain.
        domain: String,
    },
    /// The endpoint's function no longer exists.
    #[error("the path of {domain} leads nowhere: {source}; change the domain, or make the function again")]
    Function {
        /// The domain.
        domain: String,
        /// The look-up error.
        source: NotFound,
    },
}

/// The custom domain that a host (with its port, as it was sent) names.
pub fn of_host<'c>(catalog: &'c Catalog, host: &str) -> Option<&'c CustomDomain> {
    // Most installations have none; they skip the work.
    if catalog.domains.is_empty() {
        return None;
    }
    let name = host::name(host);
    let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    };
    catalog.domains.get(name.as_ref()).map(AsRef::as_ref)
}

/// The target of a path of the domain, and the path that the function receives when it differs.
/// `path` has no query.
pub fn find(
    catalog: &Catalog,
    domain: &CustomDomain,
    is_secure: bool,
    path: &str,
) -> Result<(Found, Option<String>), NoEndpoint> {
    let name = || domain.domain.clone();
    match (domain.protocol, is_secure) {
        (DomainProtocol::Https, false) => return Err(NoEndpoint::HttpsOnly { domain: name() }),
        (DomainProtocol::Http, true) => return Err(NoEndpoint::HttpOnly { domain: name() }),
        _ => {}
    }
    let endpoint = endpoint(domain, path).ok_or_else(|| NoEndpoint::Path { domain: name() })?;
    let function = FunctionKey { namespace: endpoint.namespace.clone(), name: endpoint.function.clone() };
    let Some(entry) = catalog.functions.get(&function) else {
        let (namespace, function) = (function.namespace.to_string(), function.name.to_string());
        return Err(NoEndpoint::Function { domain: name(), source: NotFound::Function { namespace, function } });
    };
    let found = Found { function: Arc::clone(entry), qualifier: endpoint.qualifier.clone() };
    Ok((found, rewritten(&endpoint.rewrites, path)))
}

fn endpoint<'d>(domain: &'d CustomDomain, path: &str) -> Option<&'d DomainEndpoint> {
    let endpoints = &domain.endpoints;
    let below = || {
        let matching = endpoints.iter().filter(|endpoint| behind_star(&endpoint.path, path).is_some());
        matching.max_by_key(|endpoint| endpoint.path.len())
    };
    endpoints.iter().find(|endpoint| endpoint.path == path).or_else(below)
}

/// The part that `*` matches when a pattern that ends in it matches the path.
fn behind_star<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(pattern.strip_suffix('*')?)
}

/// The path after the first matching rewrite rule.
fn rewritten(rules: &[PathRewrite], path: &str) -> Option<String> {
    rules.iter().find_map(|rule| match behind_star(&rule.path, path).filter(|_| rule.wildcard) {
        Some(rest) => Some(rule.rewrite.replace('$', rest)),
        None => (rule.path == path).then(|| rule.rewrite.clone()),
    })
}

/// The same target with another path.
pub fn with_path(uri: &Uri, path: &str) -> Result<Uri, InvalidUri> {
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}"))?,
        None => PathAndQuery::try_from(path)?,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Ok(Uri::from_parts(parts).expect("a target that had a path may have another"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Qualifier;

    use super::*;

    fn rule(path: &str, wildcard: bool, rewrite: &str) -> PathRewrite {
        PathRewrite { path: path.to_owned(), wildcard, rewrite: rewrite.to_owned() }
    }

    fn domain(paths: &[&str]) -> CustomDomain {
        let endpoint = |path: &&str| DomainEndpoint {
            path: (*path).to_owned(),
            namespace: "default".parse().expect("valid"),
            function: "hello".parse().expect("valid"),
            qualifier: Qualifier::LATEST,
            rewrites: Vec::new(),
        };
        CustomDomain {
            domain: "a.example.com".to_owned(),
            protocol: DomainProtocol::Http,
            endpoints: paths.iter().map(endpoint).collect(),
            certificate: None,
            carried: serde_json::Map::new(),
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        }
    }

    #[test]
    fn the_most_specific_path_counts() {
        let domain = domain(&["/*", "/a/*", "/a/b/*", "/a/b", "/"]);
        for (path, expected) in [
            ("/", "/"),
            ("/x", "/*"),
            ("/a", "/*"),
            ("/a/", "/a/*"),
            ("/a/x/y", "/a/*"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/*"),
            ("/a/bc", "/a/*"),
        ] {
            assert_eq!(endpoint(&domain, path).map(|endpoint| endpoint.path.as_str()), Some(expected), "{path}");
        }
        assert_eq!(endpoint(&super::tests::domain(&["/a", "/b/*"]), "/b"), None);
        assert_eq!(endpoint(&domain, "*"), None);
    }

    #[test]
    fn a_host_is_compared_without_case_and_port() {
        let one = domain(&["/*"]);
        let domains = std::collections::BTreeMap::from([(one.domain.clone(), one.into())]);
        let catalog = Catalog { domains: std::sync::Arc::new(domains), ..Catalog::default() };
        for host in ["a.example.com", "A.Example.COM:7080", "a.example.com."] {
            assert!(of_host(&catalog, host).is_some(), "{host}");
        }
        for host in ["b.example.com", "x.a.example.com", "example.com", ""] {
            assert!(of_host(&catalog, host).is_none(), "{host}");
        }
        assert!(of_host(&Catalog::default(), "a.example.com").is_none());
    }

    #[test]
    fn the_first_rule_that_fits_rewrites_the_path() {
        let rules = [
            rule("/v1/x", false, "/exact"),
            rule("/v1/*", true, "/api/$"),
            rule("/*", false, "/no"),
            rule("/z", true, "/$"),
        ];
        for (path, expected) in [
            ("/v1/x", Some("/exact")),
            ("/v1/x/y", Some("/api/x/y")),
            ("/v1/", Some("/api/")),
            ("/v1", None),
            ("/z", Some("/$")),
        ] {
            assert_eq!(rewritten(&rules, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn only_the_path_of_a_target_changes() {
        for (uri, expected) in [("/a?q=%20", "/b?q=%20"), ("/a", "/b"), ("http://h:1/a?x", "http://h:1/b?x")] {
            let uri: Uri = uri.parse().expect("valid");
            assert_eq!(with_path(&uri, "/b").expect("valid").to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_stands_for_the_star_comes_through_unchanged(rest in "[!-~&&[^?#\"<>`{}|\\\\^]]{0,40}") {
            let path = rewritten(&[rule("/a/*", true, "/b/$")], &format!("/a/{rest}")).expect("it fits");
            prop_assert_eq!(path, format!("/b/{rest}"));
        }
    }
}
