//! JSON Web Tokens (RFC 7519) with the signature `HS256` (HMAC SHA-256, RFC 7518) only.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// Header of every token; tokens with any other header are refused.
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// A signed token.
pub(super) fn encode(claims: &impl Serialize, key: &[u8]) -> String {
    let claims = serde_json::to_vec(claims).expect("claims are plain JSON");
    let signed = format!("{}.{}", BASE64_URL.encode(HEADER), BASE64_URL.encode(claims));
    let signature = mac(key, &signed).finalize().into_bytes();
    format!("{signed}.{}", BASE64_URL.encode(signature))
}

/// The claims of a token that was signed with this key.
pub(super) fn decode<T: DeserializeOwned>(token: &str, key: &[u8]) -> Option<T> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    // Compares in constant time, so that timing does not reveal a correct prefix of a signature.
    mac(key, signed).verify_slice(&BASE64_URL.decode(signature).ok()?).ok()?;
    if header != BASE64_URL.encode(HEADER) {
        return None;
    }
    serde_json::from_slice(&BASE64_URL.decode(claims).ok()?).ok()
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length").chain_update(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_token_of_another_implementation_is_read() {
        // Made by another library with the key `key` from {"sub":"a","exp":1}.
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxfQ.RMWQRWPcpEBERPhUAkcvJlsLKWRlpkTHa-1PaILoBv8";
        assert_eq!(decode::<Value>(token, b"key"), Some(json!({"sub": "a", "exp": 1})));
        assert_eq!(decode::<Value>(token, b"kez"), None);
        assert_eq!(
            encode(&json!({"sub": "a"}), b"key"),
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.1NjHouoxH0iJHZ9LQ0zlAzW9F1PrEBxhLtnz_2wcNTw"
        );
    }

    #[test]
    fn what_was_not_signed_so_is_refused() {
        let token = encode(&json!({"sub": "a"}), b"key");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let (header, claims) = signed.split_once('.').expect("three parts");
        let of_none = BASE64_URL.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let resigned = format!("{of_none}.{claims}");
        let resigned = format!("{resigned}.{}", BASE64_URL.encode(mac(b"key", &resigned).finalize().into_bytes()));
        let other_claims = BASE64_URL.encode(r#"{"sub":"b"}"#);
        for token in [
            String::new(),
            "..".to_owned(),
            signed.to_owned(),
            format!("{signed}."),
            format!("{signed}.{}", &signature[1..]),
            format!("{signed}.{signature}="),
            format!("{token}.{signature}"),
            format!("{header}.{other_claims}.{signature}"),
            format!("{of_none}.{claims}.{signature}"),
            resigned,
        ] {
            assert_eq!(decode::<Value>(&token, b"key"), None, "{token}");
        }
        assert!(decode::<Value>(&token, b"key").is_some());
    }
}
