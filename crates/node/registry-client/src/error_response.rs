//! Maps failed responses and connections to errors.

use std::sync::Arc;
use std::time::Duration;

use types::ImageRef;

use crate::Error;
use crate::client::{Cause, cause, find};
use crate::destination::RefusedDestination;
use crate::throughput::{ThroughputMin, TooSlow};

/// Registry and image that errors name.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The registry, or the mirror that got the request instead.
    pub registry: String,
    /// The image as requested.
    pub image: String,
    /// Whether the request used plain HTTP.
    pub plain: bool,
}

impl Subject {
    pub(crate) fn new(registry: impl Into<String>, image: &ImageRef, plain: bool) -> Self {
        Self { registry: registry.into(), image: image.to_string(), plain }
    }

    fn names(&self) -> (String, String) {
        (self.registry.clone(), self.image.clone())
    }

    pub(crate) fn protocol(&self, what: impl Into<String>) -> Error {
        let (registry, image) = self.names();
        Error::Protocol { registry, image, what: what.into() }
    }

    pub(crate) fn unreachable(&self, error: reqwest::Error) -> Error {
        let (registry, image) = self.names();
        // The URL may contain a token.
        Error::Unreachable { registry, image, source: Arc::new(error.without_url()) }
    }

    pub(crate) fn too_slow(&self, slow: TooSlow, limit: ThroughputMin) -> Error {
        let (registry, image) = self.names();
        let ThroughputMin { bytes_per_s_min, over } = limit;
        Error::TooSlow { registry, image, bytes_per_s: slow.bytes_per_s, bytes_per_s_min, over_s: over.as_secs() }
    }

    pub(crate) fn stalled(&self, over: Duration) -> Error {
        let (registry, image) = self.names();
        Error::Stalled { registry, image, over_s: over.as_secs() }
    }

    pub(crate) fn redirect_refused(&self, destination: RefusedDestination) -> Error {
        let (registry, image) = self.names();
        Error::RedirectRefused { registry, image, destination }
    }

    /// The error of a request without a response.
    pub(crate) fn no_answer(&self, error: reqwest::Error) -> Error {
        if let Some(destination) = find::<RefusedDestination>(&error) {
            return self.redirect_refused(destination.clone());
        }
        let (registry, image) = self.names();
        match cause(&error) {
            Cause::PlainHttp => Error::PlainHttp { registry, image },
            Cause::NotHttp if self.plain => Error::NeedsTls { registry, image },
            Cause::Untrusted => Error::Untrusted { registry, image, source: Arc::new(error.without_url()) },
            _ => self.unreachable(error),
        }
    }

    /// The error of an unsuccessful response; `provider` is the source of the credentials.
    pub(crate) fn error_response(
        &self,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
        what: String,
        provider: Option<String>,
    ) -> Error {
        let text = String::from_utf8_lossy(body);
        let (registry, image) = self.names();
        // Messages of Go's and nginx' servers.
        let wants_tls =
            text.contains("HTTP request to an HTTPS server") || text.contains("HTTP request was sent to HTTPS");
        let detail = words(body);
        match status {
            400 if self.plain && wants_tls => Error::NeedsTls { registry, image },
            401 | 403 => Error::AccessDenied { registry, image, status, provider, detail },
            404 => Error::NotFound { registry, image, what, detail },
            _ => {
                let retry_after_s = retry_after.map(|pause| pause.as_secs());
                Error::Refused { registry, image, status, detail, retry_after_s }
            }
        }
    }
}

/// The registry's message (distribution specification, "Error Codes"), shortened and made
/// printable.
fn words(body: &[u8]) -> String {
    const WORDS_LEN_MAX: usize = 200;
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        code: Option<String>,
        message: Option<String>,
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return String::new() };
    let said: Vec<_> = envelope.errors.into_iter().flat_map(|item| [item.code, item.message]).flatten().collect();
    if said.is_empty() {
        return String::new();
    }
    let said: String = said.join(": ").chars().filter(|c| !c.is_control()).take(WORDS_LEN_MAX).collect();
    format!(" ({said})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_bounded_and_printable() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "no\u001b[31m way"}]}"#;
        assert_eq!(words(body), " (DENIED: no[31m way)");
        assert_eq!(words(b"<html>"), "");
        let long = format!(r#"{{"errors": [{{"message": "{}"}}]}}"#, "x".repeat(5000));
        assert_eq!(words(long.as_bytes()).len(), 203);
    }
}
