//! The gateway's own metrics, looked up once: a request only adds to a counter.

use metrics::{Counter, counter};

/// Counters.
pub struct Meters {
    /// Requests over HTTP/1.
    pub requests_http1: Counter,
    /// Requests over HTTP/2.
    pub requests_http2: Counter,
    /// Requests that reached no function.
    pub refusals: Counter,
}

impl Meters {
    /// Registers them with the recorder that is installed now.
    pub fn new() -> Self {
        Self {
            requests_http1: counter!("sampan_gateway_requests_total", "protocol" => "http1"),
            requests_http2: counter!("sampan_gateway_requests_total", "protocol" => "http2"),
            refusals: counter!("sampan_gateway_refusals_total"),
        }
    }
}
