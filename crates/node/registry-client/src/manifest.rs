//! Manifests by tag or digest.

use oci::digest_of;
use reqwest::Method;
use reqwest::header::HeaderMap;
use types::Digest;

use crate::Error;
use crate::request::{Request, Resource};
use crate::session::{Answer, Session};

/// Resolves a tag to a digest by HEAD; `None` if that fails for any reason, because the request for
/// the manifest reports it.
pub async fn resolve(session: &Session, tag: &str) -> Option<Digest> {
    let request = Request {
        method: Method::HEAD,
        accept: Some(oci::media_type::ACCEPT),
        retry: false,
        ..Request::get(Resource::Manifest(tag.to_owned()))
    };
    session.send(&request).await.ok().and_then(|answer| digest_header(answer.response.headers()))
}

/// Fetches a manifest or an index of at most `bytes_max` by tag or digest. Its digest is verified
/// against the requested one, or else against the registry's header.
///
/// # Errors
/// All errors of a registry.
pub async fn fetch_manifest(
    session: &Session,
    image: &str,
    reference: &str,
    bytes_max: u64,
) -> Result<(Digest, Vec<u8>), Error> {
    let request =
        Request { accept: Some(oci::media_type::ACCEPT), ..Request::get(Resource::Manifest(reference.to_owned())) };
    loop {
        let Answer { response, upstream } = session.send(&request).await?;
        let said = digest_header(response.headers());
        let length = response.content_length();
        let body = match upstream.transport().read_body(response, bytes_max).await {
            Err(error) if upstream.is_mirror() => {
                upstream.give_up(&error.report());
                continue;
            }
            body => body?,
        };
        let Some(body) = body else {
            let (image, actual) = (image.to_owned(), length.unwrap_or(bytes_max + 1));
            return Err(Error::ManifestTooLarge { image, actual, limit: bytes_max });
        };
        let actual = digest_of(&body);
        match reference.parse().ok().or(said).filter(|expected| *expected != actual) {
            None => return Ok((actual, body)),
            Some(_) if upstream.is_mirror() => upstream.give_up("it sent another manifest than was asked for"),
            Some(expected) => return Err(session.wrong_content(expected, actual)),
        }
    }
}

/// The digest in the registry's header.
pub(crate) fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
