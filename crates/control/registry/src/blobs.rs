//! Blobs: downloaded whole or in ranges, checked, deleted.

use std::fs::File;

use axum::body::Body;
use axum::response::Response;
use futures_util::TryStreamExt as _;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use types::Digest;

use crate::RegistryState;
use crate::download;
use crate::error::Error;
use crate::names::Repository;
use crate::problem::{Code, Problem};
use crate::range::{self, Part};
use crate::repository::BlobRemoval;

/// Header with the digest of the content.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// `GET` and `HEAD /v2/NAME/blobs/DIGEST`.
pub(crate) async fn read(
    shared: &RegistryState,
    parts: &Parts,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, Problem> {
    let head = parts.method == Method::HEAD;
    // A client that sends HEAD may be about to push a manifest that names the blob: this protects
    // it from the sweep.
    let unknown = || Problem::blob_unknown(repository, digest);
    if !shared.repositories.has_blob(repository, digest, head).await? {
        return Err(unknown());
    }
    let content = |source: content_store::Error| Error::Content {
        operation: "open",
        digest: digest.clone(),
        source: source.into(),
    };
    if head {
        // A client that finds the blob does not push it: verify it, since existence proves nothing
        // about its content.
        let length = shared.content.verified_size(digest).await.map_err(content)?.ok_or_else(unknown)?;
        return Ok(blob_response(StatusCode::OK, digest, length, Body::empty()));
    }
    if is_known(&parts.headers, digest) {
        return Ok(not_modified(digest));
    }
    let (file, length) = shared.content.open(digest).await.map_err(content)?.ok_or_else(unknown)?;
    let file = file.into_std().await;
    match wanted(&parts.headers, digest, length) {
        Part::Whole => {
            let body = part_of(file, digest, 0, length);
            Ok(blob_response(StatusCode::OK, digest, length, body))
        }
        Part::Bytes { first, last } => {
            let count = last - first + 1;
            let body = part_of(file, digest, first, count);
            let mut response = blob_response(StatusCode::PARTIAL_CONTENT, digest, count, body);
            response.headers_mut().insert(CONTENT_RANGE, ascii(format!("bytes {first}-{last}/{length}")));
            Ok(response)
        }
        Part::OutOfBounds => Err(Problem::new(
            Code::RangeInvalid,
            format!("blob {digest} has {length} bytes; the range begins after them"),
        )
        .with_header(CONTENT_RANGE, format!("bytes */{length}"))),
    }
}

fn part_of(file: File, digest: &Digest, first: u64, count: u64) -> Body {
    let digest = digest.clone();
    Body::from_stream(download::pieces(file, first, count).map_err(move |source| {
        let error = Error::ReadContent { digest: digest.clone(), source };
        // The status is already sent: the client sees the connection close early.
        tracing::error!(error = error.chain(), "download aborted");
        error
    }))
}

/// `DELETE /v2/NAME/blobs/DIGEST`: removes the blob from this repository.
pub(crate) async fn delete(
    shared: &RegistryState,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, Problem> {
    match shared.repositories.remove_blob(repository, digest).await? {
        BlobRemoval::Removed => Ok(accepted()),
        BlobRemoval::Absent => Err(Problem::blob_unknown(repository, digest)),
        BlobRemoval::Named(manifest) => Err(Problem::new(
            Code::Denied,
            format!("blob {digest} is part of manifest {manifest} of repository {repository}; delete that first"),
        )
        .with_status(StatusCode::CONFLICT)),
    }
}

/// The range of `Range`; all of it when `If-Range` names other content.
fn wanted(headers: &HeaderMap, digest: &Digest, length: u64) -> Part {
    let same = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag(digest).as_bytes());
    match headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some(header) if same => range::requested(header, length),
        _ => Part::Whole,
    }
}

fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether `If-None-Match` names this content.
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let ours = etag(digest);
    let same = |tag: &str| tag.trim().trim_start_matches("W/") == ours || tag.trim() == "*";
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).any(|v| v.split(',').any(same))
}

/// 304 Not Modified.
pub(crate) fn not_modified(digest: &Digest) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    mark(response.headers_mut(), digest);
    response
}

/// 202 without a body.
pub(crate) fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// Sets the headers that name the content.
pub(crate) fn mark(headers: &mut HeaderMap, digest: &Digest) {
    headers.insert(CONTENT_DIGEST, ascii(digest.to_string()));
    headers.insert(ETAG, ascii(etag(digest)));
}

/// A header value of digests, numbers and repository names.
pub(crate) fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digests, numbers and repository names are plain ASCII")
}

fn blob_response(status: StatusCode, digest: &Digest, length: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    mark(headers, digest);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}
