//! Stripe's signatures.

use http::{HeaderMap, HeaderName};
use serde::Deserialize;

use super::{Clock, ID_BYTES_MAX, Rejection, SIGNATURES_MAX, Secrets, Verified, header, seconds};

const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

pub(super) fn verify(secrets: &Secrets, headers: &HeaderMap, body: &[u8], clock: Clock) -> Result<Verified, Rejection> {
    let (mut timestamp, mut signatures) = (None, Vec::new());
    for part in header(headers, &SIGNATURE)?.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) if timestamp.is_none() => timestamp = Some(text),
            Some(("t", _)) => return Err(Rejection::Malformed(SIGNATURE, "it has two times")),
            Some(("v1", digits)) if signatures.len() < SIGNATURES_MAX => signatures.extend(hex::decode(digits).ok()),
            _ => {}
        }
    }
    let timestamp = timestamp.ok_or(Rejection::Malformed(SIGNATURE, "it has no t="))?;
    let signed_s = seconds(timestamp).ok_or(Rejection::Malformed(SIGNATURE, "t= is no Unix time in seconds"))?;
    clock.check(signed_s)?;
    match secrets.sign_one_of(&[timestamp.as_bytes(), b".", body], &signatures) {
        true => Ok(Verified { id: event_id(body) }),
        false => Err(Rejection::Mismatch),
    }
}

#[derive(Deserialize)]
struct Event {
    id: String,
    object: String,
}

/// The id of a Stripe event; other bodies may use `id` for anything.
fn event_id(body: &[u8]) -> Option<String> {
    let event: Event = serde_json::from_slice(body).ok()?;
    (event.object == "event" && (1..=ID_BYTES_MAX).contains(&event.id.len())).then_some(event.id)
}
