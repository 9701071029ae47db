//! The response of a web function for its callback: status, content headers and bytes, unchanged.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName};

/// Headers that describe a body.
const HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_DISPOSITION];

/// A response of a web function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers that describe the body.
    pub headers: Vec<(String, String)>,
    /// Its body, maybe truncated.
    pub body: Bytes,
    /// Whether the body was truncated.
    pub is_cut: bool,
}

impl WebAnswer {
    /// A response from its head and the kept part of its body.
    pub(crate) fn new(status: u16, headers: &HeaderMap, body: Bytes, is_cut: bool) -> Self {
        let kept = HEADERS.iter().filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        Self { status, headers: kept.collect(), body, is_cut }
    }
}
