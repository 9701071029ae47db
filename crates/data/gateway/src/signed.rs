//! Calls of functions whose URL requires a signature: verified before the function receives
//! anything.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use hyper::body::Incoming;

use crate::asynchronous::authorize::{Authorize, Signed};
use crate::error_response::RequestError;
use crate::event::{self, BodyLimit};
use crate::request_body::{Payload, RequestBody};

/// Prefix of the signature's headers, which are only for the platform.
const SIGNATURE_PREFIX: &str = "x-tc-";
/// Header with the hash of the body, or the mark that the body is not signed.
const CONTENT_HASH: HeaderName = HeaderName::from_static("x-tc-content-sha256");
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The head of a request as it was sent, for its signature.
pub struct SentHead {
    uri: Uri,
    headers: HeaderMap,
}

impl SentHead {
    /// Copies the signed parts of a request's head; `uri` is the one that was sent, where the
    /// function receives another.
    pub fn of(parts: &Parts, uri: Option<Uri>) -> Self {
        Self { uri: uri.unwrap_or_else(|| parts.uri.clone()), headers: parts.headers.clone() }
    }

    /// The headers as they were sent.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Verifies the signature of the whole request.
    ///
    /// # Errors
    /// Why it is not signed by a known key.
    pub fn verify(&self, authorize: &dyn Authorize, method: &Method, body: &[u8]) -> Result<(), String> {
        // The target's authority is what the request is routed by (RFC 9112, 3.2.2).
        let header = || self.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = self.uri.authority().map(|authority| authority.as_str()).or_else(header).unwrap_or_default();
        let (path, query) = (self.uri.path(), self.uri.query().unwrap_or_default());
        authorize.verify(Signed { method, host, path, query, headers: &self.headers, body })
    }

    fn has_unsigned_body(&self) -> bool {
        self.headers.get(CONTENT_HASH).is_some_and(|value| value == UNSIGNED_PAYLOAD)
    }
}

/// Verifies a call and removes its signature. The body is buffered for that, unless the signature
/// excludes it, as for endless streams.
pub async fn check(
    authorize: Option<&dyn Authorize>,
    sent: &SentHead,
    parts: &mut Parts,
    body: RequestBody<Incoming>,
    limit: BodyLimit,
) -> Result<Payload, RequestError> {
    let authorize = authorize.ok_or_else(|| RequestError::Unsigned("no keys are known here".to_owned()))?;
    authorize.check_head(&sent.headers).map_err(RequestError::Unsigned)?;
    let payload = match sent.has_unsigned_body() {
        true => {
            sent.verify(authorize, &parts.method, b"").map_err(RequestError::Unsigned)?;
            Payload::Streaming(body)
        }
        false => {
            let bytes = event::collect(body, limit).await?;
            sent.verify(authorize, &parts.method, &bytes).map_err(RequestError::Unsigned)?;
            Payload::Whole(bytes)
        }
    };
    strip(&mut parts.headers);
    if let Payload::Whole(bytes) = &payload {
        parts.headers.remove(EXPECT);
        if parts.headers.remove(TRANSFER_ENCODING).is_some() {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
    }
    Ok(payload)
}

/// Removes the signature, which was for the platform.
pub fn strip(headers: &mut HeaderMap) {
    let of_signature = |name: &&HeaderName| name.as_str().starts_with(SIGNATURE_PREFIX);
    let names: Vec<HeaderName> = headers.keys().filter(of_signature).cloned().collect();
    names.iter().chain([&AUTHORIZATION]).for_each(|name| drop(headers.remove(name)));
}
