//! GitHub's signatures, which Gitea and others send too.

use http::{HeaderMap, HeaderName};

use super::{ID_BYTES_MAX, Rejection, Secrets, Verified, header};

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");

pub(super) fn verify(secrets: &Secrets, headers: &HeaderMap, body: &[u8]) -> Result<Verified, Rejection> {
    let text = header(headers, &SIGNATURE)?;
    let digits = text.strip_prefix("sha256=").ok_or(Rejection::Malformed(SIGNATURE, "it begins with sha256="))?;
    let signature = hex::decode(digits).map_err(|_| Rejection::Malformed(SIGNATURE, "it is not hexadecimal"))?;
    if !secrets.sign_one_of(&[body], &[signature]) {
        return Err(Rejection::Mismatch);
    }
    // The id is not signed: it distinguishes retries of one delivery from others, but prevents no
    // replay by an attacker who has seen one.
    let id = match header(headers, &DELIVERY) {
        Ok(id) if (1..=ID_BYTES_MAX).contains(&id.len()) => Some(id.to_owned()),
        Ok(_) => return Err(Rejection::Malformed(DELIVERY, "1 to 256 characters are an id")),
        Err(Rejection::Missing(_)) => None,
        Err(other) => return Err(other),
    };
    Ok(Verified { id })
}
