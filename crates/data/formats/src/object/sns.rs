//! SNS envelopes, and their signed text.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::Unreadable;

/// A topic's request to confirm a subscription, by a GET of the URL that it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The topic.
    pub topic: String,
    /// The URL. Anyone can send one: see [`may_confirm`].
    pub subscribe_url: String,
}

/// The sender's authentication in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// It is signed with the key of a certificate.
    Signed(Signature),
    /// It has no signature of a known version.
    Unsigned,
}

/// The signature of an envelope (RSA, PKCS #1 v1.5), not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The URL of the certificate, as the sender states it.
    pub cert_url: String,
    /// The hash algorithm.
    pub hash: Hash,
    /// The signature.
    pub signature: Vec<u8>,
    /// The signed text.
    pub text: String,
}

/// The hash algorithm of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, for `SignatureVersion` 1.
    Sha1,
    /// SHA-256, for `SignatureVersion` 2.
    Sha256,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Members {
    r#type: Option<String>,
    message: Option<String>,
    message_id: Option<String>,
    subject: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    timestamp: Option<String>,
    token: Option<String>,
    topic_arn: Option<String>,
    signature: Option<String>,
    signature_version: Option<String>,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: Option<String>,
}

impl Members {
    fn read(text: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(text).map_err(|error| Unreadable::Json(error.to_string()))
    }

    /// The signed members, in their order, each with its name on a line before it.
    fn signed_text(&self) -> String {
        let is_notification = self.r#type.as_deref() == Some("Notification");
        let members: &[(&str, &Option<String>)] = match is_notification {
            true => &[
                ("Message", &self.message),
                ("MessageId", &self.message_id),
                ("Subject", &self.subject),
                ("Timestamp", &self.timestamp),
                ("TopicArn", &self.topic_arn),
                ("Type", &self.r#type),
            ],
            false => &[
                ("Message", &self.message),
                ("MessageId", &self.message_id),
                ("SubscribeURL", &self.subscribe_url),
                ("Timestamp", &self.timestamp),
                ("Token", &self.token),
                ("TopicArn", &self.topic_arn),
                ("Type", &self.r#type),
            ],
        };
        let line = |(name, value): &(&str, &Option<String>)| Some(format!("{name}\n{}\n", value.as_deref()?));
        members.iter().filter_map(line).collect()
    }
}

/// The sender's authentication in an envelope.
pub(super) fn sender(text: &str) -> Result<Envelope, Unreadable> {
    let members = Members::read(text)?;
    let hash = match members.signature_version.as_deref() {
        Some("1") => Hash::Sha1,
        Some("2") => Hash::Sha256,
        _ => return Ok(Envelope::Unsigned),
    };
    let text = members.signed_text();
    let (Some(signature), Some(cert_url)) = (members.signature, members.signing_cert_url) else {
        return Ok(Envelope::Unsigned);
    };
    // Invalid Base64 becomes an empty signature, which never verifies.
    let signature = BASE64_STANDARD.decode(signature).unwrap_or_default();
    Ok(Envelope::Signed(Signature { cert_url, hash, signature, text }))
}

pub(super) enum Opened {
    Message(String),
    Confirm(Confirmation),
    Nothing(&'static str),
}

pub(super) fn open(text: &str, kind: &str) -> Result<Opened, Unreadable> {
    let envelope = Members::read(text)?;
    let lacks = |field: &str| Unreadable::Json(format!("the SNS envelope of type {kind} has no {field}"));
    match kind {
        "Notification" => Ok(Opened::Message(envelope.message.ok_or_else(|| lacks("Message"))?)),
        "SubscriptionConfirmation" => Ok(Opened::Confirm(Confirmation {
            topic: envelope.topic_arn.ok_or_else(|| lacks("TopicArn"))?,
            subscribe_url: envelope.subscribe_url.ok_or_else(|| lacks("SubscribeURL"))?,
        })),
        "UnsubscribeConfirmation" => Ok(Opened::Nothing("the end of a subscription")),
        _ => Err(Unreadable::Shape),
    }
}

/// Whether a URL may be requested: its host (with its port, when it is not that of the scheme) is
/// one of `hosts`. Over plain HTTP only where an entry has `http://` before the host.
pub fn may_confirm(subscribe_url: &str, hosts: &[String]) -> bool {
    let Ok(uri) = subscribe_url.parse::<http::Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    // No user and password, which could make one host look like another.
    if authority.as_str().contains('@') {
        return false;
    }
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    let host = match authority.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    hosts.iter().any(|entry| match entry.strip_prefix("http://") {
        Some(plain) => scheme == "http" && plain.eq_ignore_ascii_case(&host),
        None => scheme == "https" && entry.trim_start_matches("https://").eq_ignore_ascii_case(&host),
    })
}
