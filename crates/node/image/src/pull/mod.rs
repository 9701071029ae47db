//! Registries: manifests and blobs by reference and digest. Owns HTTP, credentials' use and retries. Must not know
//! layers beyond their digest and size.

mod auth;
pub(crate) mod blob;
mod client;
mod endpoint;
mod retry;
mod session;

use reqwest::Method;
use reqwest::header::HeaderMap;
use types::Digest;

use self::session::{Ask, Target};
use crate::content::digest_of;
use crate::{Error, manifest};

pub(crate) use self::client::Clients;
pub(crate) use self::session::Session;

/// Asks what a tag means, without the manifest itself; `None` when the registry does not say, for whatever reason: the
/// request for the manifest will tell.
pub(crate) async fn resolve(session: &Session, tag: &str) -> Option<Digest> {
    let ask = Ask {
        method: Method::HEAD,
        accept: Some(manifest::ACCEPT),
        retry: false,
        ..Ask::get(Target::Manifest(tag.to_owned()))
    };
    session.send(&ask).await.ok().and_then(|response| digest_header(response.headers()))
}

/// Fetches a manifest or an index of at most `bytes_max` by tag or digest. Its digest is checked against what was asked
/// for, and against what the registry says.
pub(crate) async fn manifest(
    session: &Session,
    image: &str,
    reference: &str,
    bytes_max: u64,
) -> Result<(Digest, Vec<u8>), Error> {
    let ask = Ask { accept: Some(manifest::ACCEPT), ..Ask::get(Target::Manifest(reference.to_owned())) };
    let response = session.send(&ask).await?;
    let said = digest_header(response.headers());
    let length = response.content_length();
    let body = session.read_body(response, bytes_max).await?;
    let Some(body) = body else {
        let (image, key, what) = (image.to_owned(), "manifest_bytes_max", "bytes in its manifest");
        return Err(Error::TooLarge { image, what, actual: length.unwrap_or(bytes_max + 1), limit: bytes_max, key });
    };
    let actual = digest_of(&body);
    let expected = reference.parse().ok().or(said).filter(|expected| *expected != actual);
    match expected {
        Some(expected) => Err(session.wrong_content(expected, actual)),
        None => Ok((actual, body)),
    }
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
