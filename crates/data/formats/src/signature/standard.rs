//! Standard Webhooks 1.0.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

use super::{Clock, ID_BYTES_MAX, Rejection, SIGNATURES_MAX, Secrets, Verified, header, seconds};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

pub(super) fn verify(secrets: &Secrets, headers: &HeaderMap, body: &[u8], clock: Clock) -> Result<Verified, Rejection> {
    let id = header(headers, &ID)?;
    let timestamp = header(headers, &TIMESTAMP)?;
    let listed = header(headers, &SIGNATURE)?;
    // With a dot in the id, one signature would match several splits of the signed text.
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.contains('.') {
        return Err(Rejection::Malformed(ID, "1 to 256 characters without a dot are an id"));
    }
    let signed_s = seconds(timestamp).ok_or(Rejection::Malformed(TIMESTAMP, "it is no Unix time in seconds"))?;
    clock.check(signed_s)?;
    // Others than v1, such as the asymmetric v1a, are not supported here.
    let signatures = listed.split_ascii_whitespace().filter_map(|one| one.strip_prefix("v1,"));
    let signatures: Vec<_> = signatures.take(SIGNATURES_MAX).filter_map(|text| STANDARD.decode(text).ok()).collect();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    match secrets.sign_one_of(&signed, &signatures) {
        true => Ok(Verified { id: Some(id.to_owned()) }),
        false => Err(Rejection::Mismatch),
    }
}
