//! Cross-origin requests (Fetch standard, "HTTP extensions"): the responses to browsers.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::Invalid;

/// Maximum of entries of a list.
const ENTRIES_MAX: usize = 100;
/// Longest entry, in bytes.
const ENTRY_BYTES_MAX: usize = 256;
/// Longest `max_age`: browsers' own limit is below a day.
const MAX_AGE_S_MAX: u32 = 86_400;

/// `CorsConfig`: the allowed web pages, methods and headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Cors {
    /// Whether the platform handles CORS; otherwise the function does.
    pub enable: bool,
    /// Origins such as `https://app.example.com`, or `*`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Allowed request headers, or `*`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Allowed methods, or `*`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Response headers that pages may read, or `*`.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// Seconds for which browsers may cache the preflight response.
    #[serde(default)]
    pub max_age: u32,
    /// Whether pages may send cookies and credentials.
    #[serde(default)]
    pub credentials: bool,
}

impl Cors {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let wrong = |field, why: String| Err(Invalid::Cors { field, why });
        let lists = [
            ("Origins", &self.origins),
            ("Headers", &self.headers),
            ("Methods", &self.methods),
            ("ExposeHeaders", &self.expose_headers),
        ];
        for (field, list) in lists {
            if list.len() > ENTRIES_MAX {
                return wrong(field, format!("has {} entries; {ENTRIES_MAX} are allowed", list.len()));
            }
            let fits = |entry: &str| match field {
                _ if entry == "*" => true,
                _ if entry.len() > ENTRY_BYTES_MAX => false,
                "Origins" => is_origin(entry),
                "Methods" => Method::from_bytes(entry.as_bytes()).is_ok(),
                _ => HeaderName::from_bytes(entry.as_bytes()).is_ok(),
            };
            if let Some(entry) = list.iter().find(|entry| !fits(entry)) {
                return wrong(field, format!("{:?} cannot be one", crate::quoted(entry)));
            }
        }
        if self.enable && self.origins.is_empty() {
            return wrong("Origins", "is empty, so that no page could call; use [\"*\"] for all".to_owned());
        }
        if self.credentials && self.origins.iter().any(|origin| origin == "*") {
            return wrong(
                "Credentials",
                "is true while Origins has *, which browsers refuse; name the origins".to_owned(),
            );
        }
        if self.max_age > MAX_AGE_S_MAX {
            return wrong("MaxAge", format!("is more than {MAX_AGE_S_MAX} s"));
        }
        Ok(())
    }

    /// The headers of a preflight response; `None` when the request is not a preflight. For a page
    /// that is not allowed they grant nothing.
    pub fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<HeaderMap> {
        if method != Method::OPTIONS || !request.contains_key(ORIGIN) {
            return None;
        }
        let wanted = request.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut answer = HeaderMap::new();
        for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
            answer.append(VARY, HeaderValue::from_static(name));
        }
        let Some(origin) = self.allowed_origin(request) else { return Some(answer) };
        self.allow(&mut answer, origin);
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
        // With `*` the requested method and headers are named: browsers do not read a star as a
        // wildcard in requests with credentials, and never for Authorization.
        let named = |list: &[String], asked: Option<&HeaderValue>| match list.iter().any(|entry| entry == "*") {
            true => asked.cloned(),
            false if list.is_empty() => None,
            false => HeaderValue::from_str(&list.join(", ")).ok(),
        };
        answer.extend(named(&self.methods, Some(wanted)).map(|value| (ACCESS_CONTROL_ALLOW_METHODS, value)));
        answer.extend(named(&self.headers, asked).map(|value| (ACCESS_CONTROL_ALLOW_HEADERS, value)));
        answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.into());
        Some(answer)
    }

    /// Sets the CORS headers of a response to a page; those of the function are replaced.
    pub fn decorate(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        for name in [
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ] {
            answer.remove(name);
        }
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.allowed_origin(request) else { return };
        self.allow(answer, origin);
        if !self.expose_headers.is_empty() {
            let exposed = HeaderValue::from_str(&self.expose_headers.join(", "));
            answer.extend(exposed.ok().map(|value| (ACCESS_CONTROL_EXPOSE_HEADERS, value)));
        }
    }

    fn allowed_origin<'h>(&self, request: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let origin = request.get(ORIGIN)?;
        let allowed = |entry: &String| entry == "*" || entry.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        self.origins.iter().any(allowed).then_some(origin)
    }

    fn allow(&self, answer: &mut HeaderMap, origin: &HeaderValue) {
        let any = self.origins.iter().any(|entry| entry == "*");
        let value = if any { HeaderValue::from_static("*") } else { origin.clone() };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// `scheme://host[:port]`, without a path.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let scheme_fits = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    scheme_fits && !authority.contains('@') && authority.parse::<http::uri::Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let list = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Cors {
            enable: true,
            origins: list(origins),
            headers: list(&["X-A", "Content-Type"]),
            methods: list(&["GET", "PUT"]),
            expose_headers: list(&["X-B"]),
            max_age: 60,
            credentials,
        }
    }

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers.iter().filter(|(name, _)| *name != VARY).map(line).collect()
    }

    #[test]
    fn preflights_are_answered_for_pages_that_may_call() {
        let asked = |origin| {
            headers(&[
                (ORIGIN, origin),
                (ACCESS_CONTROL_REQUEST_METHOD, "PUT"),
                (ACCESS_CONTROL_REQUEST_HEADERS, "x-a,authorization"),
            ])
        };
        let one = cors(&["https://a.example"], true);
        let answer = one.preflight(&Method::OPTIONS, &asked("https://a.example")).unwrap();
        let mut lines = shown(&answer);
        lines.sort();
        assert_eq!(
            lines,
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: X-A, Content-Type",
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-origin: https://a.example",
                "access-control-max-age: 60",
            ]
        );
        for other in ["https://b.example", "https://a.example.evil.example", "http://a.example", "null"] {
            assert!(shown(&one.preflight(&Method::OPTIONS, &asked(other)).unwrap()).is_empty(), "{other}");
        }
        let star = |text: &str| vec![text.to_owned()];
        let any = Cors { headers: star("*"), methods: star("*"), ..cors(&["*"], false) };
        let answer = any.preflight(&Method::OPTIONS, &asked("null")).unwrap();
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "x-a,authorization");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "PUT");
        // Not a preflight: left to the function.
        assert_eq!(one.preflight(&Method::PUT, &asked("https://a.example")), None);
        assert_eq!(one.preflight(&Method::OPTIONS, &headers(&[(ORIGIN, "https://a.example")])), None);
        assert_eq!(one.preflight(&Method::OPTIONS, &headers(&[(ACCESS_CONTROL_REQUEST_METHOD, "PUT")])), None);
    }

    #[test]
    fn answers_say_what_the_description_says_and_not_what_the_function_does() {
        let one = cors(&["https://a.example"], false);
        let own = || headers(&[(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")]);
        let mut answer = own();
        one.decorate(&headers(&[(ORIGIN, "https://b.example")]), &mut answer);
        assert!(shown(&answer).is_empty());
        assert_eq!(answer[VARY], "Origin");
        let mut answer = own();
        one.decorate(&headers(&[(ORIGIN, "https://a.example")]), &mut answer);
        let mut lines = shown(&answer);
        lines.sort();
        assert_eq!(lines, ["access-control-allow-origin: https://a.example", "access-control-expose-headers: X-B"]);
    }

    #[test]
    fn what_no_browser_would_heed_is_refused() {
        let refused = |cors: Cors| cors.check().unwrap_err().to_string();
        assert_eq!(cors(&["https://a.example:8443", "http://localhost:3000"], true).check(), Ok(()));
        assert!(refused(cors(&[], false)).starts_with("CorsConfig.Origins: is empty"));
        assert!(refused(cors(&["*"], true)).starts_with("CorsConfig.Credentials"));
        for origin in ["a.example", "https://a.example/", "https://u@a.example", "://a", ""] {
            assert!(refused(cors(&[origin], false)).starts_with("CorsConfig.Origins"), "{origin}");
        }
        let list = |text: &str| vec![text.to_owned()];
        assert!(refused(Cors { methods: list("G T"), ..cors(&["*"], false) }).starts_with("CorsConfig.Methods"));
        assert!(refused(Cors { headers: list("a:b"), ..cors(&["*"], false) }).starts_with("CorsConfig.Headers"));
        assert!(refused(Cors { max_age: 86_401, ..cors(&["*"], false) }).starts_with("CorsConfig.MaxAge"));
        assert!(refused(Cors { headers: vec!["a".to_owned(); 101], ..cors(&["*"], false) }).contains("101 entries"));
    }
}
