//! The response of a web function as its callback gets it: status, kind and bytes as they came.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName};

/// Headers that say what the bytes of a body are.
const HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_DISPOSITION];

/// A response of a web function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebAnswer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that say what its body is.
    pub headers: Vec<(String, String)>,
    /// Its body, or the beginning of it.
    pub body: Bytes,
    /// Whether the body had more bytes than are kept.
    pub is_cut: bool,
}

impl WebAnswer {
    /// A response by its head and what is kept of its body.
    pub(crate) fn new(status: u16, headers: &HeaderMap, body: Bytes, is_cut: bool) -> Self {
        let kept = HEADERS.iter().filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        Self { status, headers: kept.collect(), body, is_cut }
    }
}
