//! SNS envelopes.

use serde::Deserialize;

use super::Unreadable;

/// A topic's wish to have a subscription confirmed, by a GET of an address that it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The topic.
    pub topic: String,
    /// The address. Anybody can write one: see [`may_confirm`].
    pub subscribe_url: String,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Message", default)]
    message: Option<String>,
    #[serde(rename = "TopicArn", default)]
    topic: Option<String>,
    #[serde(rename = "SubscribeURL", default)]
    subscribe_url: Option<String>,
}

pub(super) enum Opened {
    Message(String),
    Confirm(Confirmation),
    Nothing(&'static str),
}

pub(super) fn open(text: &str, kind: &str) -> Result<Opened, Unreadable> {
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| Unreadable::Json(error.to_string()))?;
    let lacks = |field: &str| Unreadable::Json(format!("the SNS envelope of type {kind} has no {field}"));
    match kind {
        "Notification" => Ok(Opened::Message(envelope.message.ok_or_else(|| lacks("Message"))?)),
        "SubscriptionConfirmation" => Ok(Opened::Confirm(Confirmation {
            topic: envelope.topic.ok_or_else(|| lacks("TopicArn"))?,
            subscribe_url: envelope.subscribe_url.ok_or_else(|| lacks("SubscribeURL"))?,
        })),
        "UnsubscribeConfirmation" => Ok(Opened::Nothing("the end of a subscription")),
        _ => Err(Unreadable::Shape),
    }
}

/// Whether an address may be called: its host (with its port, when it is not that of the scheme)
/// is one of `hosts`. Over plain HTTP only where an entry says `http://` before the host.
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
