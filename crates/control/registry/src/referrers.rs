//! The referrers API: signatures, SBOMs and other manifests with a given subject.

use axum::response::Response;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use oci::media_type::OCI_INDEX;
use types::Digest;

use crate::RegistryState;
use crate::body::query;
use crate::names::Repository;
use crate::paging::Page;
use crate::problem::Problem;
use crate::repository::Record;

/// Header of a list that is already filtered.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/NAME/referrers/DIGEST`. The list of an unknown manifest is empty.
pub(crate) async fn list(
    shared: &RegistryState,
    parts: &Parts,
    repository: &Repository,
    subject: &Digest,
) -> Result<Response, Problem> {
    let page = Page::of(parts, shared.config.page_len_max)?;
    let filter = query(parts, "artifactType");
    let mut found = shared.repositories.referrers(repository, subject).await?;
    if let Some(wanted) = &filter {
        found.retain(|(_, record)| artifact_type(record) == Some(wanted));
    }
    let (found, next) = page.cut(found, |(digest, _)| digest.as_str(), str::to_owned);
    let descriptors: Vec<_> = found.iter().map(|(digest, record)| descriptor(digest, record)).collect();
    let body = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors });
    let kept = filter.as_deref().map(|wanted| ("artifactType", wanted));
    let mut response = page.answer(parts.uri.path(), kept, next.as_deref(), &body, OCI_INDEX);
    if filter.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

fn artifact_type(record: &Record) -> Option<&String> {
    record.referrer.as_ref()?.artifact_type.as_ref()
}

fn descriptor(digest: &Digest, record: &Record) -> serde_json::Value {
    let mut descriptor = serde_json::json!({
        "mediaType": record.media_type,
        "digest": digest.as_str(),
        "size": record.size_bytes,
    });
    if let Some(kind) = artifact_type(record) {
        descriptor["artifactType"] = kind.as_str().into();
    }
    if let Some(referrer) = record.referrer.as_ref().filter(|r| !r.annotations.is_empty()) {
        descriptor["annotations"] = serde_json::json!(referrer.annotations);
    }
    descriptor
}
