//! Blob uploads, in one request or in chunks (distribution specification, "Pushing Blobs"),
//! streamed to the content store.

mod sessions;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE};
use http::request::Parts;
use types::Digest;

use crate::RegistryState;
use crate::auth::{Actions, Grant, Scope};
use crate::blobs::{ascii, mark};
use crate::body::{Incoming, announced_length, query};
use crate::error::Error;
use crate::names::Repository;
use crate::problem::{Code, Problem};
use crate::range;
pub(crate) use sessions::Sessions;
use sessions::{Checkout, Denied};

/// Upload id for clients that do not parse `Location`.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST /v2/NAME/blobs/uploads/`: mounts a blob, takes a whole blob (`?digest=`), or opens a
/// session.
pub(crate) async fn begin(
    shared: &RegistryState,
    parts: &Parts,
    mut body: Incoming,
    repository: &Repository,
    grant: &Grant,
) -> Result<Response, Problem> {
    if let Some(digest) = mounted(shared, parts, repository, grant).await? {
        return Ok(created(repository, &digest));
    }
    let digest = stated_digest(parts)?;
    check_length(shared, parts, 0)?;
    let denied = |denied| denied_problem(denied, repository, "", shared.config.uploads_max);
    let mut session = shared.uploads.reserve(repository).map_err(denied)?;
    let upload = shared.content.begin_upload().await.map_err(|error| failed("begin", repository, error))?;
    session.fill(upload, digest.is_none());
    match digest {
        Some(digest) => {
            receive(shared, &mut session, &mut body, repository).await?;
            commit(shared, session, repository, &digest).await
        }
        None => Ok(progress(StatusCode::ACCEPTED, repository, session.id(), session.offset())),
    }
}

/// `PATCH`: appends a chunk, or a stream without `Content-Range`.
pub(crate) async fn append(
    shared: &RegistryState,
    parts: &Parts,
    mut body: Incoming,
    repository: &Repository,
    id: &str,
) -> Result<Response, Problem> {
    let mut session = take(shared, repository, id)?;
    take_chunk(shared, parts, &mut body, repository, &mut session).await?;
    Ok(progress(StatusCode::ACCEPTED, repository, session.id(), session.offset()))
}

/// `PUT`: appends the last chunk, if any, and commits the blob.
pub(crate) async fn finish(
    shared: &RegistryState,
    parts: &Parts,
    mut body: Incoming,
    repository: &Repository,
    id: &str,
) -> Result<Response, Problem> {
    let Some(digest) = stated_digest(parts)? else {
        return Err(Problem::new(Code::DigestInvalid, "the digest is missing; finish an upload with ?digest=sha256:…"));
    };
    let mut session = take(shared, repository, id)?;
    take_chunk(shared, parts, &mut body, repository, &mut session).await?;
    commit(shared, session, repository, &digest).await
}

/// `GET`: progress of an upload.
pub(crate) fn status(shared: &RegistryState, repository: &Repository, id: &str) -> Result<Response, Problem> {
    let offset = shared.uploads.offset(repository, id);
    let offset = offset.map_err(|denied| denied_problem(denied, repository, id, shared.config.uploads_max))?;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, offset))
}

/// `DELETE`: cancels an upload.
pub(crate) fn cancel(shared: &RegistryState, repository: &Repository, id: &str) -> Result<Response, Problem> {
    take(shared, repository, id)?.discard();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Mounts a blob from another repository. `None` without such a request, or when the sender may not
/// read the blob there: the specification answers both with an ordinary upload.
async fn mounted(
    shared: &RegistryState,
    parts: &Parts,
    repository: &Repository,
    grant: &Grant,
) -> Result<Option<Digest>, Problem> {
    let (Some(digest), Some(from)) = (query(parts, "mount"), query(parts, "from")) else { return Ok(None) };
    let (Ok(digest), Some(from)) = (digest.parse::<Digest>(), Repository::parse(&from)) else { return Ok(None) };
    if !grant.allows(&Scope::repository(from.as_str(), Actions::PULL)) {
        return Ok(None);
    }
    let mounted = shared.repositories.mount_blob(&from, repository, &digest).await?;
    Ok(mounted.then_some(digest))
}

fn stated_digest(parts: &Parts) -> Result<Option<Digest>, Problem> {
    query(parts, "digest").map(|text| text.parse().map_err(|_| Problem::digest_invalid(&text))).transpose()
}

fn take(shared: &RegistryState, repository: &Repository, id: &str) -> Result<Checkout, Problem> {
    let session = shared.uploads.take(repository, id);
    session.map_err(|denied| denied_problem(denied, repository, id, shared.config.uploads_max))
}

/// Appends a request's body, after checking its offset.
async fn take_chunk(
    shared: &RegistryState,
    parts: &Parts,
    body: &mut Incoming,
    repository: &Repository,
    session: &mut Checkout,
) -> Result<(), Problem> {
    let chunk = match parts.headers.get(CONTENT_RANGE) {
        Some(header) => Some(chunk_of(header, parts)?),
        None => None,
    };
    if let Some((first, _)) = chunk
        && first != session.offset()
    {
        let offset = session.offset();
        let message = format!("the chunk begins at {first}, but the upload is at {offset}; go on from there");
        return Err(with_progress(Problem::new(Code::RangeInvalid, message), repository, session));
    }
    check_length(shared, parts, session.offset())?;
    let received = receive(shared, session, body, repository).await?;
    match chunk {
        Some((first, last)) if last - first + 1 != received => {
            Err(with_progress(length_differs(first, last, received), repository, session))
        }
        _ => Ok(()),
    }
}

/// The declared range of a chunk, which must agree with its `Content-Length`.
fn chunk_of(header: &HeaderValue, parts: &Parts) -> Result<(u64, u64), Problem> {
    let chunk = header.to_str().ok().and_then(range::chunk).ok_or_else(|| {
        Problem::new(Code::BlobUploadInvalid, "Content-Range cannot be read; use FIRST-LAST, both included")
    })?;
    match announced_length(parts) {
        Some(length) if length != chunk.1 - chunk.0 + 1 => Err(length_differs(chunk.0, chunk.1, length)),
        _ => Ok(chunk),
    }
}

fn length_differs(first: u64, last: u64, length: u64) -> Problem {
    Problem::new(
        Code::SizeInvalid,
        format!("Content-Range {first}-{last} is {} bytes, but the body has {length}", last - first + 1),
    )
    .with_status(StatusCode::BAD_REQUEST)
}

/// Refuses a body whose declared length exceeds the limit, before it is read.
fn check_length(shared: &RegistryState, parts: &Parts, offset: u64) -> Result<(), Problem> {
    let bytes_max = shared.config.blob_bytes_max;
    match announced_length(parts) {
        Some(length) if offset.saturating_add(length) > bytes_max => {
            Err(Problem::too_large("blob", bytes_max, "blob_bytes_max"))
        }
        _ => Ok(()),
    }
}

/// Streams a body into an upload; returns its length.
async fn receive(
    shared: &RegistryState,
    session: &mut Checkout,
    body: &mut Incoming,
    repository: &Repository,
) -> Result<u64, Problem> {
    let begin = session.offset();
    let bytes_max = shared.config.blob_bytes_max;
    while let Some(piece) = body.next().await? {
        if session.offset().saturating_add(piece.len() as u64) > bytes_max {
            return Err(Problem::too_large("blob", bytes_max, "blob_bytes_max"));
        }
        session.write(piece).await.map_err(|error| failed("write", repository, error))?;
    }
    Ok(session.offset() - begin)
}

async fn commit(
    shared: &RegistryState,
    session: Checkout,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response, Problem> {
    // Protects the content between the commit and its pin.
    let lease = shared.content.lease();
    session.commit(digest).await.map_err(|error| match error {
        content_store::Error::DigestMismatch { expected, actual } => Problem::digest_mismatch(&expected, &actual),
        error => failed("finish", repository, error),
    })?;
    shared.repositories.add_blob(repository, digest, lease).await?;
    Ok(created(repository, digest))
}

fn failed(operation: &'static str, repository: &Repository, source: content_store::Error) -> Problem {
    Error::Upload { operation, repository: repository.to_string(), source: source.into() }.into()
}

fn denied_problem(denied: Denied, repository: &Repository, id: &str, uploads_max: usize) -> Problem {
    match denied {
        Denied::Unknown => Problem::new(
            Code::BlobUploadUnknown,
            format!("repository {repository} has no upload {id}; it may have been idle for too long; start again"),
        ),
        Denied::Busy => Problem::new(
            Code::BlobUploadInvalid,
            format!("another request is using upload {id}; send its chunks one after the other"),
        )
        .with_status(StatusCode::CONFLICT),
        Denied::TooMany => Problem::too_many_uploads(uploads_max),
    }
}

fn upload_path(repository: &Repository, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn with_progress(problem: Problem, repository: &Repository, session: &Checkout) -> Problem {
    problem
        .with_header(LOCATION, upload_path(repository, session.id()))
        .with_header(RANGE, range::received(session.offset()))
        .with_header(UPLOAD_ID, session.id())
}

/// A response with the location and progress of an upload.
fn progress(status: StatusCode, repository: &Repository, id: &str, offset: u64) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(LOCATION, ascii(upload_path(repository, id)));
    headers.insert(RANGE, ascii(range::received(offset)));
    headers.insert(UPLOAD_ID, ascii(id.to_owned()));
    response
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    mark(headers, digest);
    headers.insert(LOCATION, ascii(format!("/v2/{repository}/blobs/{digest}")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
