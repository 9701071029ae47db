//! Error responses: the error body of the distribution specification ("Error Codes") with its HTTP
//! status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use types::Digest;

use crate::error::Error;
use crate::names::Repository;

/// Error code. Those beyond the specification are docker's, or named alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    TagInvalid,
    PaginationNumberInvalid,
    RangeInvalid,
    RequestTimeout,
    InsufficientStorage,
    Unknown,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::TagInvalid => "TAG_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::InsufficientStorage => "INSUFFICIENT_STORAGE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The default status of the code.
    fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestBlobUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown => StatusCode::NOT_FOUND,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::TagInvalid
            | Self::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
            Self::SizeInvalid => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error response: code, message, and further headers and details.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    status: StatusCode,
    message: String,
    detail: Option<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// An error with the default status of its code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), detail: None, headers: Vec::new() }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Adds a header; a value with invalid bytes is left out.
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn blob_unknown(repository: &Repository, digest: &Digest) -> Self {
        Self::new(Code::BlobUnknown, format!("repository {repository} has no blob {digest}"))
            .with_detail(serde_json::json!({ "digest": digest.as_str() }))
    }

    pub(crate) fn manifest_unknown(repository: &Repository, reference: &str) -> Self {
        Self::new(Code::ManifestUnknown, format!("repository {repository} has no manifest {reference}"))
            .with_detail(serde_json::json!({ "reference": reference }))
    }

    pub(crate) fn name_unknown(repository: &Repository) -> Self {
        Self::new(Code::NameUnknown, format!("there is no repository {repository}"))
            .with_detail(serde_json::json!({ "name": repository.as_str() }))
    }

    pub(crate) fn digest_invalid(text: &str) -> Self {
        Self::new(
            Code::DigestInvalid,
            format!("{text:?} is not a digest; use sha256: and 64 lower-case hexadecimal digits"),
        )
    }

    pub(crate) fn digest_mismatch(expected: &Digest, actual: &Digest) -> Self {
        Self::new(Code::DigestInvalid, format!("the content is {actual}, not {expected}; it was discarded"))
            .with_detail(serde_json::json!({ "digest": actual.as_str() }))
    }

    pub(crate) fn too_large(what: &str, bytes_max: u64, key: &str) -> Self {
        Self::new(
            Code::SizeInvalid,
            format!("the {what} is larger than {bytes_max} bytes; the limit is registry.{key} of the configuration"),
        )
    }

    pub(crate) fn too_many_uploads(uploads_max: usize) -> Self {
        Self::new(
            Code::TooManyRequests,
            format!("{uploads_max} uploads are open, as many as registry.uploads_max allows; try again later"),
        )
        .with_header(RETRY_AFTER, "5")
    }

    pub(crate) fn method_not_allowed(method: &Method, allowed: &'static str) -> Self {
        Self::new(Code::Unsupported, format!("{method} is not supported here; use {allowed}"))
            .with_header(ALLOW, allowed)
    }
}

impl From<Error> for Problem {
    /// Logs the internal error, and answers without its details.
    fn from(error: Error) -> Self {
        tracing::error!(error = error.chain(), "registry request failed");
        if error.is_storage_full() {
            return Self::new(Code::InsufficientStorage, "the registry's disk is full; free space and try again");
        }
        Self::new(Code::Unknown, "the registry failed internally; see the platform's log")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = serde_json::json!({ "code": self.code.name(), "message": self.message });
        if let Some(detail) = self.detail {
            error["detail"] = detail;
        }
        let body = serde_json::json!({ "errors": [error] }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        response
    }
}
