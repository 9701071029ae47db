//! Wire format of plugins: `CredentialProviderRequest` and `CredentialProviderResponse` of
//! `credentialprovider.kubelet.k8s.io`. Pure; errors quote nothing of a response.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use crate::Secret;

/// Versions of the protocol, equal in every part used here.
pub(super) const API_VERSIONS: [&str; 3] = [
    "credentialprovider.kubelet.k8s.io/v1",
    "credentialprovider.kubelet.k8s.io/v1beta1",
    "credentialprovider.kubelet.k8s.io/v1alpha1",
];

/// Logins by pattern.
pub(super) type Auths = BTreeMap<String, Auth>;

/// One login.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Auth {
    #[serde(default)]
    pub username: String,
    pub password: Secret,
}

/// Scope of a response in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum CacheKeyType {
    Image,
    Registry,
    Global,
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub cache_key_type: CacheKeyType,
    /// `None` for the configured default; zero for a response that must not be cached.
    pub cache_duration: Option<Duration>,
    pub auth: Auths,
}

/// Serialises a request.
pub(super) fn request(api_version: &str, image: &str) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        kind: &'static str,
        api_version: &'a str,
        image: &'a str,
    }
    let request = Request { kind: "CredentialProviderRequest", api_version, image };
    serde_json::to_vec(&request).expect("texts are JSON")
}

/// Parses a response in `api_version`; the error names what is wrong.
pub(super) fn response(bytes: &[u8], api_version: &str) -> Result<Response, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        kind: String,
        api_version: String,
        cache_key_type: CacheKeyType,
        cache_duration: Option<String>,
        auth: Option<Auths>,
    }
    // The parser's text could quote a password.
    let malformed = |error: serde_json::Error| {
        format!("its answer is not a CredentialProviderResponse (line {}, column {})", error.line(), error.column())
    };
    let raw: Raw = serde_json::from_slice(bytes).map_err(malformed)?;
    if raw.kind != "CredentialProviderResponse" {
        return Err("its answer is not of kind CredentialProviderResponse".to_owned());
    }
    if raw.api_version != api_version {
        return Err(format!("its answer is not of apiVersion {api_version}, which its configuration names"));
    }
    let unreadable = || "its cacheDuration is not a duration such as 5m".to_owned();
    let read = |text: String| duration::parse(&text).ok_or_else(unreadable);
    let cache_duration = raw.cache_duration.map(read).transpose()?;
    Ok(Response { cache_key_type: raw.cache_key_type, cache_duration, auth: raw.auth.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = API_VERSIONS[0];

    #[test]
    fn a_request_contains_the_image_only() {
        let request: serde_json::Value = serde_json::from_slice(&request(V1, "r.io/app")).expect("JSON");
        let expected = serde_json::json!({"kind": "CredentialProviderRequest", "apiVersion": V1, "image": "r.io/app"});
        assert_eq!(request, expected);
    }

    #[test]
    fn a_response_of_the_ecr_plugin_is_parsed() {
        let text = r#"{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "cacheKeyType": "Registry", "cacheDuration": "6h0m0s",
            "auth": {"123.dkr.ecr.us-west-2.amazonaws.com": {"username": "AWS", "password": "hidden"}}}"#;
        let read = response(text.as_bytes(), V1).expect("valid");
        assert_eq!(
            (read.cache_key_type, read.cache_duration),
            (CacheKeyType::Registry, Some(Duration::from_secs(21_600)))
        );
        assert_eq!(read.auth["123.dkr.ecr.us-west-2.amazonaws.com"].password.reveal(), "hidden");
        assert!(!format!("{read:?}").contains("hidden"));
    }

    #[test]
    fn errors_quote_nothing_of_the_response() {
        for (text, word) in [
            ("hidden", "not a CredentialProviderResponse"),
            (
                r#"{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "cacheKeyType": "hidden"}"#,
                "not a CredentialProviderResponse",
            ),
            (
                r#"{"kind": "hidden", "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "cacheKeyType": "Image"}"#,
                "kind",
            ),
            (
                r#"{"kind": "CredentialProviderResponse", "apiVersion": "hidden", "cacheKeyType": "Image"}"#,
                "apiVersion",
            ),
            (
                r#"{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "cacheKeyType": "Image", "cacheDuration": "hidden"}"#,
                "cacheDuration",
            ),
        ] {
            let error = response(text.as_bytes(), V1).expect_err(text);
            assert!(error.contains(word) && !error.contains("hidden"), "{error}");
        }
    }
}
