//! The older schemes HmacSHA1 and HmacSHA256 (contract 1.3), over the sorted parameters of a form
//! or query.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Clock, Rejection, Secrets, clock, host, key_of, quoted};

/// Parameter of the signature, the only one that is not signed.
const SIGNATURE: &str = "Signature";

/// Hash function of the HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `HmacSHA1`, the default.
    HmacSha1,
    /// `HmacSHA256`.
    HmacSha256,
}

impl Algorithm {
    fn parse(text: &str) -> Result<Self, Rejection> {
        match text {
            "" | "HmacSHA1" => Ok(Self::HmacSha1),
            "HmacSHA256" => Ok(Self::HmacSha256),
            other => Err(Rejection::Malformed(format!(
                "SignatureMethod {:?} is neither HmacSHA1 nor HmacSHA256",
                quoted(other)
            ))),
        }
    }
}

/// A received request.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its host: the `Host` header, or the authority of HTTP/2.
    pub host: &'a str,
    /// Its decoded parameters, in any order.
    pub parameters: &'a [(String, String)],
}

/// Checks the parameter `Signature`.
///
/// # Errors
/// A [`Rejection`] per fault.
pub fn verify(received: &Received<'_>, secrets: &Secrets, clock: Clock) -> Result<(), Rejection> {
    let parameter = |name: &str| {
        let mut values = received.parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values
            .next()
            .ok_or_else(|| Rejection::Malformed(format!("the request is signed but lacks the parameter {name}")))
    };
    let given = parameter(SIGNATURE)?;
    let algorithm = Algorithm::parse(parameter("SignatureMethod").unwrap_or_default())?;
    let secret_id = parameter("SecretId")?;
    parameter("Nonce")?;
    let timestamp_s = clock::parse_timestamp("Timestamp", parameter("Timestamp")?)?;
    let secret_key = key_of(secrets, secret_id)?;
    clock.check(timestamp_s)?;
    for host in host::variants(received.host) {
        let expected = signature(algorithm, secret_key, received.method, host, received.parameters);
        if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            return Ok(());
        }
    }
    Err(Rejection::Mismatch {
        method: received.method.to_owned(),
        host: quoted(received.host),
        secret_id: quoted(secret_id),
    })
}

/// The signature of a request, in Base64.
pub fn signature(
    algorithm: Algorithm,
    secret_key: &str,
    method: &str,
    host: &str,
    parameters: &[(String, String)],
) -> String {
    let mut sorted: Vec<_> = parameters.iter().filter(|(key, _)| key != SIGNATURE).collect();
    sorted.sort();
    let pairs: Vec<String> = sorted.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let text = format!("{method}{host}/?{}", pairs.join("&"));
    match algorithm {
        Algorithm::HmacSha1 => mac::<Hmac<Sha1>>(secret_key, &text),
        Algorithm::HmacSha256 => mac::<Hmac<Sha256>>(secret_key, &text),
    }
}

fn mac<M: Mac + KeyInit>(key: &str, text: &str) -> String {
    let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_S: i64 = 1_465_185_768;
    const CLOCK: Clock = Clock { now_s: NOW_S, window_s: 300 };

    fn secrets() -> Secrets {
        Secrets {
            secret_id: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE".to_owned(),
            secret_key: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE".to_owned(),
        }
    }

    fn pairs(further: &[(&str, &str)]) -> Vec<(String, String)> {
        let now = NOW_S.to_string();
        let common = [
            ("Action", "ListFunctions"),
            ("Nonce", "11886"),
            ("Region", "ap-guangzhou"),
            ("SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"),
            ("Timestamp", now.as_str()),
            ("Version", "2018-04-16"),
        ];
        common.iter().chain(further).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn signed(algorithm: Algorithm, host: &str, mut parameters: Vec<(String, String)>) -> Vec<(String, String)> {
        let signature = signature(algorithm, &secrets().secret_key, "POST", host, &parameters);
        parameters.insert(0, (SIGNATURE.to_owned(), signature));
        parameters
    }

    fn code(host: &str, parameters: &[(String, String)], clock: Clock) -> Result<(), &'static str> {
        let received = Received { method: "POST", host, parameters };
        verify(&received, &secrets(), clock).map_err(|rejection| rejection.code().name)
    }

    #[test]
    fn the_published_example_is_reproduced() {
        // The example of the official document "Signature v1" of the API.
        let parameters: Vec<(String, String)> = [
            ("Action", "DescribeInstances"),
            ("InstanceIds.0", "ins-09dx96dg"),
            ("Limit", "20"),
            ("Nonce", "11886"),
            ("Offset", "0"),
            ("Region", "ap-guangzhou"),
            ("SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"),
            ("Timestamp", "1465185768"),
            ("Version", "2017-03-12"),
        ]
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
        let host = "cvm.tencentcloudapi.com";
        let signature = signature(Algorithm::HmacSha1, &secrets().secret_key, "GET", host, &parameters);
        assert_eq!(signature, "EliP9YW3pW28FpsEdkXt/+WcGeI=");
    }

    #[test]
    fn both_algorithms_verify_with_the_hosts_that_clients_sign() {
        let sha1 = signed(Algorithm::HmacSha1, "127.0.0.1:7070", pairs(&[]));
        assert_eq!(code("127.0.0.1:7070", &sha1, CLOCK), Ok(()));
        assert_eq!(code("http://127.0.0.1:7070", &sha1, CLOCK), Ok(()));
        let sha256 = signed(Algorithm::HmacSha256, "h", pairs(&[("SignatureMethod", "HmacSHA256")]));
        assert_eq!(code("h:7070", &sha256, CLOCK), Ok(()));
    }

    #[test]
    fn each_wrong_part_has_its_own_code() {
        let late = Clock { now_s: NOW_S - 301, ..CLOCK };
        let good = signed(Algorithm::HmacSha1, "h", pairs(&[]));
        assert_eq!(code("h", &good, late), Err("AuthFailure.SignatureExpire"));
        for missing in ["Signature", "SecretId", "Nonce", "Timestamp"] {
            let without: Vec<_> = good.iter().filter(|(key, _)| key != missing).cloned().collect();
            assert_eq!(code("h", &without, CLOCK), Err("AuthFailure.InvalidAuthorization"), "{missing}");
        }
        let method = signed(Algorithm::HmacSha1, "h", pairs(&[("SignatureMethod", "HmacMD5")]));
        assert_eq!(code("h", &method, CLOCK), Err("AuthFailure.InvalidAuthorization"));
        let mut stranger = good.clone();
        stranger.iter_mut().filter(|(key, _)| key == "SecretId").for_each(|(_, value)| value.push('x'));
        assert_eq!(code("h", &stranger, CLOCK), Err("AuthFailure.SecretIdNotFound"));
        let mut more = good;
        more.push(("Limit".to_owned(), "1".to_owned()));
        assert_eq!(code("h", &more, CLOCK), Err("AuthFailure.SignatureFailure"));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_any_changed_value_fails(value in "\\PC{0,30}", other in "\\PC{0,30}") {
            let good = signed(Algorithm::HmacSha256, "h",
                              pairs(&[("SignatureMethod", "HmacSHA256"), ("Description", &value)]));
            prop_assert_eq!(code("h", &good, CLOCK), Ok(()));
            prop_assume!(value != other);
            let mut changed = good;
            changed.last_mut().expect("not empty").1 = other;
            prop_assert_eq!(code("h", &changed, CLOCK), Err("AuthFailure.SignatureFailure"));
        }

        #[test]
        fn no_parameters_panic(parameters in prop::collection::vec(("\\PC{0,12}", "\\PC{0,12}"), 0..8)) {
            let _ = code("h", &parameters, CLOCK);
        }
    }
}
