//! Signatures of SNS messages: verified with the certificate that a message names, where its host
//! is in the settings.

use std::collections::HashMap;
use std::time::Duration;

use formats::object::{Envelope, Hash, may_confirm};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use webpki::EndEntityCert;

use super::error::HookError;
use super::{Confirm, Hooks};

/// Cached certificates; SNS changes its own about once a year.
const CERTIFICATES_MAX: usize = 16;
/// How long one is cached, and how long a failed fetch is not repeated.
const KEPT: Duration = Duration::from_secs(24 * 3600);
const FAILURE_KEPT: Duration = Duration::from_secs(10);

/// The certificates that were fetched, by their URLs.
#[derive(Default)]
pub struct Certificates(Mutex<HashMap<String, Fetched>>);

struct Fetched {
    at: Instant,
    certificate: Result<CertificateDer<'static>, String>,
}

impl Fetched {
    fn is_fresh(&self, now: Instant) -> bool {
        let kept = if self.certificate.is_ok() { KEPT } else { FAILURE_KEPT };
        now.saturating_duration_since(self.at) < kept
    }
}

impl Certificates {
    /// Accepts a message of SNS that is signed, or that may be unsigned.
    pub async fn check(&self, envelope: &Envelope, hooks: &Hooks) -> Result<(), HookError> {
        let signed = match envelope {
            Envelope::Signed(signed) if is_certificate_url(&signed.cert_url, &hooks.confirm_hosts) => signed,
            _ if hooks.sns_unsigned => return Ok(()),
            Envelope::Signed(_) => return Err(HookError::CertificateHost),
            Envelope::Unsigned => return Err(HookError::Unsigned),
        };
        let certificate = self.certificate(&signed.cert_url, hooks.confirm.as_ref()).await?;
        verify(&certificate, signed.hash, signed.text.as_bytes(), &signed.signature)
    }

    /// The certificate at a URL. Messages that arrive meanwhile wait for the same fetch.
    async fn certificate(&self, url: &str, topics: &dyn Confirm) -> Result<CertificateDer<'static>, HookError> {
        let mut fetched = self.0.lock().await;
        let now = Instant::now();
        fetched.retain(|_, fetched| fetched.is_fresh(now));
        if !fetched.contains_key(url) {
            let pem = topics.certificate(url.to_owned()).await;
            let certificate = pem.and_then(|pem| CertificateDer::from_pem_slice(&pem).map_err(|why| why.to_string()));
            if let Err(why) = &certificate {
                tracing::warn!(url, why, "cannot fetch the certificate of a message of SNS");
            }
            if fetched.len() >= CERTIFICATES_MAX {
                fetched.clear();
            }
            fetched.insert(url.to_owned(), Fetched { at: Instant::now(), certificate });
        }
        let found = fetched.get(url).and_then(|fetched| fetched.certificate.as_ref().ok());
        found.cloned().ok_or(HookError::Certificate)
    }
}

/// Whether a certificate may be fetched from a URL: over TLS, from a host of the settings, a file.
fn is_certificate_url(url: &str, hosts: &[String]) -> bool {
    let is_file = url.parse::<http::Uri>().is_ok_and(|uri| uri.path().ends_with(".pem") && uri.query().is_none());
    url.starts_with("https://") && is_file && may_confirm(url, hosts)
}

fn verify(certificate: &CertificateDer<'_>, hash: Hash, text: &[u8], signature: &[u8]) -> Result<(), HookError> {
    let algorithm = match hash {
        Hash::Sha1 => Rsa(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Hash::Sha256 => Rsa(&RSA_PKCS1_2048_8192_SHA256),
    };
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| HookError::Certificate)?;
    certificate.verify_signature(&algorithm, text, signature).map_err(|_| HookError::Signature)
}

/// RSA with PKCS #1 v1.5, as SNS signs.
#[derive(Debug)]
struct Rsa(&'static RsaParameters);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.0, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use formats::object::envelope;
    use serde_json::Value;

    use super::super::BoxFuture;
    use super::*;

    /// Messages signed with the key of [`CERTIFICATE`], which was discarded.
    const MESSAGES: &str = include_str!("sns_messages.json");
    const CERTIFICATE: &[u8] = include_bytes!("sns_certificate.pem");

    #[derive(Default)]
    struct Topics(AtomicUsize);

    impl Confirm for Topics {
        fn confirm(&self, _url: String) -> BoxFuture<Result<(), String>> {
            Box::pin(async { Ok(()) })
        }

        fn certificate(&self, url: String) -> BoxFuture<Result<Vec<u8>, String>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                if url.contains("down") { Err("no answer".to_owned()) } else { Ok(CERTIFICATE.to_vec()) }
            })
        }
    }

    fn messages() -> Vec<Value> {
        serde_json::from_str(MESSAGES).expect("JSON")
    }

    fn hooks(topics: &Arc<Topics>, sns_unsigned: bool) -> Hooks {
        Hooks {
            confirm: topics.clone(),
            confirm_hosts: vec!["sns.example.com".to_owned(), "http://plain.example.com".to_owned()],
            sns_unsigned,
            installation: types::Installation::default(),
            rate_per_minute_max: 1,
        }
    }

    async fn check(certificates: &Certificates, message: &Value, hooks: &Hooks) -> Result<(), String> {
        let envelope = envelope(message.to_string().as_bytes()).expect("readable").expect("an envelope");
        certificates.check(&envelope, hooks).await.map_err(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn messages_are_good_as_they_were_signed_and_with_nothing_changed() {
        let (topics, certificates) = (Arc::<Topics>::default(), Certificates::default());
        for unsigned in [true, false] {
            let hooks = hooks(&topics, unsigned);
            for message in messages() {
                assert_eq!(check(&certificates, &message, &hooks).await, Ok(()), "{message}");
                let members: Vec<String> = message.as_object().expect("an object").keys().cloned().collect();
                for name in members.iter().filter(|name| !["SigningCertURL", "Signature"].contains(&name.as_str())) {
                    let mut changed = message.clone();
                    changed[name] = match name.as_str() {
                        "SignatureVersion" => if message[name] == "1" { "2" } else { "1" }.into(),
                        "Type" => "UnsubscribeConfirmation".into(),
                        name => format!("{}x", message[name].as_str().unwrap_or_default()).into(),
                    };
                    // Both confirmations have the same members, and the type is one of them.
                    assert_eq!(check(&certificates, &changed, &hooks).await, Err("Signature".to_owned()), "{changed}");
                }
                let mut other = message.clone();
                other["Signature"] = messages()[0]["Signature"].clone();
                let same = message["Signature"] == other["Signature"];
                assert_eq!(check(&certificates, &other, &hooks).await.is_ok(), same);
            }
        }
        assert_eq!(topics.0.load(Ordering::Relaxed), 1, "a certificate is fetched once");
    }

    #[tokio::test]
    async fn certificates_come_over_tls_from_listed_hosts_and_unsigned_messages_only_where_a_setting_says_so() {
        let (topics, certificates) = (Arc::<Topics>::default(), Certificates::default());
        for url in [
            "https://evil.example/a.pem",
            "http://sns.example.com/a.pem",
            "http://plain.example.com/a.pem",
            "https://sns.example.com@evil.example/a.pem",
            "https://sns.example.com/?Action=Subscribe",
            "https://sns.example.com/a.pem?x=1",
            "",
        ] {
            let mut message = messages().remove(0);
            message["SigningCertURL"] = url.into();
            assert_eq!(check(&certificates, &message, &hooks(&topics, true)).await, Ok(()), "as unsigned: {url}");
            let refused = check(&certificates, &message, &hooks(&topics, false)).await;
            assert_eq!(refused, Err("CertificateHost".to_owned()), "{url}");
        }
        let mut message = messages().remove(0);
        message.as_object_mut().expect("an object").remove("Signature");
        assert_eq!(check(&certificates, &message, &hooks(&topics, true)).await, Ok(()));
        assert_eq!(check(&certificates, &message, &hooks(&topics, false)).await, Err("Unsigned".to_owned()));
        assert_eq!(topics.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_fetched_is_no_proof_and_is_not_asked_for_by_each_message() {
        let (topics, certificates) = (Arc::<Topics>::default(), Certificates::default());
        let mut message = messages().remove(0);
        message["SigningCertURL"] = "https://sns.example.com/down.pem".into();
        for _ in 0..3 {
            let refused = check(&certificates, &message, &hooks(&topics, true)).await;
            assert_eq!(refused, Err("Certificate".to_owned()));
        }
        assert_eq!(topics.0.load(Ordering::Relaxed), 1);
    }
}
