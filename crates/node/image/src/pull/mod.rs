//! Registries: manifests and blobs by reference and digest. Owns HTTP, credentials' use, mirrors and retries. Must not
//! know layers beyond their digest and size.
//!
//! ```text
//! blob, manifest, probe ─> session: mirrors, then the registry ─> route: one place, its credentials ─> wire: retries
//! ```

mod ask;
mod auth;
pub(crate) mod blob;
mod client;
mod destination;
mod endpoint;
mod pace;
mod probe;
mod redirect;
mod refusal;
mod retry;
mod route;
mod session;
mod token;
mod wire;

use oci::digest_of;
use reqwest::Method;
use reqwest::header::HeaderMap;
use types::Digest;

use self::ask::{Ask, Target};
use self::session::Answer;
use crate::Error;

pub(crate) use self::client::Clients;
pub use self::destination::{Destinations, Origin, RefusedDestination, Resolver};
pub use self::probe::{Asked, ProbedPlace, probe};
pub(crate) use self::session::Session;
pub(crate) use self::wire::AskedPause;

/// Asks what a tag means, without the manifest itself; `None` when the registry does not say, for whatever reason: the
/// request for the manifest will tell.
pub(crate) async fn resolve(session: &Session, tag: &str) -> Option<Digest> {
    let ask = Ask {
        method: Method::HEAD,
        accept: Some(oci::media_type::ACCEPT),
        retry: false,
        ..Ask::get(Target::Manifest(tag.to_owned()))
    };
    session.send(&ask).await.ok().and_then(|answer| digest_header(answer.response.headers()))
}

/// Fetches a manifest or an index of at most `bytes_max` by tag or digest. Its digest is checked against what was asked
/// for, and against what the registry says.
pub(crate) async fn manifest(
    session: &Session,
    image: &str,
    reference: &str,
    bytes_max: u64,
) -> Result<(Digest, Vec<u8>), Error> {
    let ask = Ask { accept: Some(oci::media_type::ACCEPT), ..Ask::get(Target::Manifest(reference.to_owned())) };
    loop {
        let Answer { response, route } = session.send(&ask).await?;
        let said = digest_header(response.headers());
        let length = response.content_length();
        let body = match route.wire().read_body(response, bytes_max).await {
            Err(error) if route.is_mirror() => {
                route.give_up(&error.report());
                continue;
            }
            body => body?,
        };
        let Some(body) = body else {
            let (image, key, what) = (image.to_owned(), "manifest_bytes_max", "bytes in its manifest");
            return Err(Error::TooLarge {
                image,
                what,
                actual: length.unwrap_or(bytes_max + 1),
                limit: bytes_max,
                key,
            });
        };
        let actual = digest_of(&body);
        match reference.parse().ok().or(said).filter(|expected| *expected != actual) {
            None => return Ok((actual, body)),
            Some(_) if route.is_mirror() => route.give_up("it sent another manifest than was asked for"),
            Some(expected) => return Err(session.wrong_content(expected, actual)),
        }
    }
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
