//! Authentication challenges of registries, and the tokens for them (distribution specification,
//! "Token Authentication"; Docker's OAuth2 variant for refresh tokens).

use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use crate::credentials::Credential;

/// The challenge of a 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The token in the response of a token server.
pub(crate) fn token(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty())
}

/// The supported challenge; bearer is preferred, because the password then goes to the token server
/// only.
pub(crate) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut found = None;
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()) {
        for offered in http_auth::parse_challenges(value).unwrap_or_default() {
            let parameter = |name: &str| {
                let found = offered.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if offered.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = parameter("realm") {
                    let (service, scope) = (parameter("service"), parameter("scope"));
                    return Some(Challenge::Bearer { realm, service, scope });
                }
            } else if offered.scheme.eq_ignore_ascii_case("basic") {
                found = Some(Challenge::Basic);
            }
        }
    }
    found
}

/// A header that carries a secret; it is not shown in logs.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    secret_header(&format!("Bearer {token}"))
}

pub(crate) fn basic(credential: &Credential) -> Option<HeaderValue> {
    let Credential::Basic { user, password } = credential else { return None };
    secret_header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
}

/// Whether a secret may be sent to this token server: over plain HTTP only if the registry itself
/// uses it.
pub(crate) fn may_tell(realm: &reqwest::Url, registry_is_plain: bool) -> bool {
    match realm.scheme() {
        "https" => true,
        "http" => registry_is_plain,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().expect("a header"));
        }
        challenge(&headers)
    }

    #[test]
    fn a_bearer_challenge_is_preferred() {
        let bearer = r#"Bearer realm="https://auth.io/token",service="r.io",scope="repository:a/b:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.io/token".into(),
            service: Some("r.io".into()),
            scope: Some("repository:a/b:pull".into()),
        };
        assert_eq!(of(&[bearer]), Some(expected.clone()));
        assert_eq!(of(&[r#"Basic realm="x""#, bearer]), Some(expected));
        assert_eq!(of(&[r#"Basic realm="x""#]), Some(Challenge::Basic));
        assert_eq!(of(&["Negotiate"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn secrets_are_not_sent_to_plain_token_servers_of_tls_registries() {
        let url = |text: &str| text.parse().expect("a URL");
        assert!(may_tell(&url("https://a.io/token"), false));
        assert!(!may_tell(&url("http://a.io/token"), false));
        assert!(may_tell(&url("http://a.io/token"), true));
        assert!(!may_tell(&url("ftp://a.io/token"), true));
    }
}
