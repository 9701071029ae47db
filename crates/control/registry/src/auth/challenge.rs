//! The `WWW-Authenticate` challenge with the token endpoint and scope (token specification of
//! docker's registry; RFC 6750 section 3). Pure.

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

use super::scope::Scope;
use super::tokens::SERVICE;

/// Reason of a challenge, in the terms of RFC 6750.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Without credentials.
    Missing,
    /// With wrong or expired credentials.
    InvalidToken,
    /// With a valid token of another scope.
    InsufficientScope,
}

/// The value of `WWW-Authenticate`. The realm has the host of the client's request, so that it
/// works behind any forwarding.
pub(super) fn bearer(headers: &HeaderMap, uri: &Uri, scope: Option<&Scope>, reason: Reason) -> String {
    let mut text = format!("Bearer realm=\"{}/v2/token\",service=\"{SERVICE}\"", origin(headers, uri));
    if let Some(scope) = scope {
        text.push_str(&format!(",scope=\"{scope}\""));
    }
    match reason {
        Reason::Missing => {}
        Reason::InvalidToken => text.push_str(",error=\"invalid_token\""),
        Reason::InsufficientScope => text.push_str(",error=\"insufficient_scope\""),
    }
    text
}

/// Scheme and host of the client's request; empty without a host, which makes the realm relative.
fn origin(headers: &HeaderMap, uri: &Uri) -> String {
    let from_header = || headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = uri.authority().cloned().or_else(from_header) else { return String::new() };
    let forwarded = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let scheme = if forwarded { "https" } else { "http" };
    // The authority may have user information, which is not part of an origin.
    match authority.port() {
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{}", authority.host()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Actions;
    use super::*;

    fn challenge(headers: &[(&'static str, &'static str)], uri: &'static str) -> String {
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        bearer(&headers, &Uri::from_static(uri), Some(&Scope::repository("a/b", Actions::PUSH)), Reason::Missing)
    }

    #[test]
    fn the_realm_has_the_host_of_the_request() {
        let rest = "/v2/token\",service=\"sampan-registry\",scope=\"repository:a/b:pull,push\"";
        for (headers, uri, origin) in [
            (&[("host", "127.0.0.1:7070")][..], "/v2/", "http://127.0.0.1:7070"),
            (&[("host", "r.example"), ("x-forwarded-proto", "https")], "/v2/", "https://r.example"),
            (&[("host", "[::1]:7070")], "/v2/", "http://[::1]:7070"),
            (&[], "http://h2.example:1/v2/", "http://h2.example:1"),
            (&[("host", "user@evil\"quote")], "/v2/", ""),
            (&[], "/v2/", ""),
        ] {
            assert_eq!(challenge(headers, uri), format!("Bearer realm=\"{origin}{rest}"));
        }
    }

    #[test]
    fn insufficient_scope_differs_from_invalid_token() {
        let scope = Scope::catalog();
        let of = |reason| bearer(&HeaderMap::new(), &Uri::from_static("/v2/_catalog"), Some(&scope), reason);
        assert!(of(Reason::InsufficientScope).ends_with("scope=\"registry:catalog:*\",error=\"insufficient_scope\""));
        assert!(of(Reason::InvalidToken).ends_with("error=\"invalid_token\""));
    }
}
