//! Manifests: read, pushed and deleted by tag or digest, with their bytes unchanged.

mod document;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, StatusCode};
use types::Digest;

use crate::RegistryState;
use crate::blobs::{accepted, ascii, is_known, mark, not_modified};
use crate::body::Incoming;
use crate::error::Error;
use crate::names::{Reference, Repository};
use crate::problem::{Code, Problem};
use crate::repository::{Addition, NewManifest, Record, Referrer};
use document::Document;
pub(crate) use document::read as read_document;

/// Header that acknowledges the subject of a pushed manifest.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// `GET` and `HEAD /v2/NAME/manifests/REFERENCE`.
pub(crate) async fn read(
    shared: &RegistryState,
    parts: &Parts,
    repository: &Repository,
    reference: Reference,
) -> Result<Response, Problem> {
    let unknown = || Problem::manifest_unknown(repository, &reference.to_string());
    let found = shared.repositories.manifest(repository, &reference).await?;
    let (digest, record) = found.ok_or_else(unknown)?;
    if is_known(&parts.headers, &digest) {
        return Ok(not_modified(&digest));
    }
    let failed = |operation| {
        let digest = digest.clone();
        move |source: content_store::Error| Error::Content { operation, digest, source: source.into() }
    };
    let body = if parts.method == Method::HEAD {
        // A client that finds the manifest does not push it: verify it.
        shared.content.verified_size(&digest).await.map_err(failed("look at"))?.ok_or_else(unknown)?;
        Body::empty()
    } else {
        // The limit may have been lowered since the push.
        let bytes_max = record.size_bytes.max(shared.config.manifest_bytes_max);
        let content = shared.content.read_verified(&digest, bytes_max).await;
        Body::from(content.map_err(failed("read"))?.ok_or_else(unknown)?)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    mark(headers, &digest);
    headers.insert(CONTENT_LENGTH, record.size_bytes.into());
    headers.insert(CONTENT_TYPE, ascii(record.media_type));
    Ok(response)
}

/// `PUT /v2/NAME/manifests/REFERENCE`.
pub(crate) async fn put(
    shared: &RegistryState,
    parts: &Parts,
    body: Incoming,
    repository: &Repository,
    reference: Reference,
) -> Result<Response, Problem> {
    if let Reference::Invalid(text) = &reference {
        return Err(if text.contains(':') { Problem::digest_invalid(text) } else { tag_invalid(text) });
    }
    let content = body.collect("manifest", shared.config.manifest_bytes_max, "manifest_bytes_max").await?;
    let digest = oci::digest_of(&content);
    if let Reference::Digest(stated) = &reference
        && *stated != digest
    {
        return Err(Problem::digest_mismatch(stated, &digest));
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let document = document::read(content_type, &content)
        .map_err(|invalid| Problem::new(Code::ManifestInvalid, invalid.to_string()))?;
    let tag = if let Reference::Tag(tag) = reference { Some(tag) } else { None };
    let subject = document.subject.clone();
    let manifest = new_manifest(document, digest.clone(), content, tag);
    match shared.repositories.add_manifest(repository, manifest).await? {
        Addition::Added => Ok(created(repository, &digest, subject.as_ref())),
        lack => Err(lacking(repository, &lack)),
    }
}

/// `DELETE /v2/NAME/manifests/REFERENCE`: by digest the manifest with its tags, by tag only the
/// tag.
pub(crate) async fn delete(
    shared: &RegistryState,
    repository: &Repository,
    reference: Reference,
) -> Result<Response, Problem> {
    let removed = match &reference {
        Reference::Digest(digest) => shared.repositories.remove_manifest(repository, digest).await?,
        Reference::Tag(tag) => shared.repositories.remove_tag(repository, tag).await?,
        Reference::Invalid(_) => false,
    };
    if removed { Ok(accepted()) } else { Err(Problem::manifest_unknown(repository, &reference.to_string())) }
}

fn new_manifest(document: Document, digest: Digest, content: bytes::Bytes, tag: Option<String>) -> NewManifest {
    let (blobs, blob_sizes) = document.blobs.into_iter().unzip();
    let (artifact_type, annotations) = (document.artifact_type, document.annotations);
    let referrer = document.subject.map(|subject| Referrer { subject, artifact_type, annotations });
    let record = Record { media_type: document.media_type, size_bytes: content.len() as u64, blobs, referrer };
    NewManifest { digest, content, record, blob_sizes, manifests: document.manifests, tag }
}

fn created(repository: &Repository, digest: &Digest, subject: Option<&Digest>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    mark(headers, digest);
    headers.insert(LOCATION, ascii(format!("/v2/{repository}/manifests/{digest}")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if let Some(subject) = subject {
        headers.insert(SUBJECT, ascii(subject.to_string()));
    }
    response
}

fn lacking(repository: &Repository, lack: &Addition) -> Problem {
    let unknown = |what: &str, digest: &Digest| {
        let message =
            format!("the manifest names {what} {digest}, which repository {repository} does not have; push it first");
        Problem::new(Code::ManifestBlobUnknown, message).with_detail(serde_json::json!({ "digest": digest.as_str() }))
    };
    match lack {
        Addition::MissingBlob(digest) => unknown("blob", digest),
        Addition::MissingManifest(digest) => unknown("manifest", digest),
        Addition::WrongSize { digest, actual, stated } => Problem::new(
            Code::ManifestInvalid,
            format!("blob {digest} has {actual} bytes, but the manifest says {stated}; build the image again"),
        ),
        Addition::Added => unreachable!("an addition that succeeded lacks nothing"),
    }
}

fn tag_invalid(text: &str) -> Problem {
    Problem::new(
        Code::TagInvalid,
        format!("{text:?} is not a tag; use 1 to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'"),
    )
}
