//! Bearer tokens, for senders without signatures, such as object stores.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Rejection, Secrets, Verified, header};

pub(super) fn verify(secrets: &Secrets, headers: &HeaderMap) -> Result<Verified, Rejection> {
    let text = header(headers, &AUTHORIZATION)?;
    let (scheme, credentials) =
        text.split_once(' ').ok_or(Rejection::Malformed(AUTHORIZATION, "it is neither Bearer nor Basic"))?;
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => credentials.trim().to_owned(),
        // SNS and others only support user:password in a URL.
        "basic" => {
            password(credentials.trim()).ok_or(Rejection::Malformed(AUTHORIZATION, "Basic holds no password"))?
        }
        _ => return Err(Rejection::Malformed(AUTHORIZATION, "it is neither Bearer nor Basic")),
    };
    if secrets.contain(&token) { Ok(Verified { id: None }) } else { Err(Rejection::Mismatch) }
}

fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}
