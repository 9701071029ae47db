//! Settings of HTTP/1.1 and HTTP/2 connections to instances: how large a response head may be.

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;

use crate::config::Config;

/// Bytes of a header line besides name and value.
const LINE_BYTES: usize = ": \r\n".len();
/// Bytes of a status line with a long phrase.
const STATUS_LINE_BYTES: usize = 1024;
/// Smallest read buffer of a connection that hyper accepts, in bytes.
const BUFFER_BYTES_MIN: usize = 408 * 1024;

/// Longest head, in bytes, with the maximum number and size of headers.
fn head_bytes_max(config: &Config) -> usize {
    let lines = config.web_response_headers_max.saturating_mul(LINE_BYTES);
    config.web_response_headers_bytes_max.saturating_add(lines).saturating_add(STATUS_LINE_BYTES)
}

/// Connections of HTTP/1.1 whose responses may have any number of headers.
pub(crate) fn http1(config: &Config) -> http1::Builder {
    let mut builder = http1_short_heads(config);
    builder.max_headers(config.web_response_headers_max);
    builder
}

/// Connections of HTTP/1.1 on which hyper receives no more headers than it has room for on the
/// stack; see `response_head`.
pub(super) fn http1_short_heads(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let bytes_max = head_bytes_max(config);
    // A proxy removes whitespace before a colon (RFC 9112, 5.1).
    builder.allow_spaces_after_header_name_in_responses(true);
    builder.max_header_size(bytes_max);
    if bytes_max > BUFFER_BYTES_MIN {
        builder.max_buf_size(bytes_max);
    }
    builder
}

/// Connections of HTTP/2.
pub(crate) fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // Each header counts 32 bytes more than it has (RFC 9113, 6.5.2).
    let bytes_max =
        config.web_response_headers_bytes_max.saturating_add(config.web_response_headers_max.saturating_mul(32));
    builder.max_header_list_size(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    builder
}
