//! The protocol of a call. Pure.

use http::HeaderMap;
use types::FunctionKind;

use crate::headers;

/// How a call reaches its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// An HTTP request, forwarded unchanged.
    Http1,
    /// A gRPC call over HTTP/2 without TLS.
    Grpc,
    /// A request that opens a WebSocket connection.
    WebSocket,
    /// An event for `POST /event-invoke`.
    Event,
}

impl Protocol {
    /// The protocol of a request with this head to a function of this kind.
    pub(crate) fn of(kind: FunctionKind, head: &HeaderMap) -> Self {
        match kind {
            FunctionKind::Event => Self::Event,
            FunctionKind::Http if headers::asks_for_websocket(head) => Self::WebSocket,
            FunctionKind::Http if headers::is_grpc(head) => Self::Grpc,
            FunctionKind::Http => Self::Http1,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_web_function_speaks_what_the_head_asks_for_and_an_event_function_events() {
        let table: [(&[(&'static str, &'static str)], Protocol); 5] = [
            (&[], Protocol::Http1),
            (&[("upgrade", "h2c"), ("content-type", "text/plain")], Protocol::Http1),
            (&[("content-type", "application/grpc+proto")], Protocol::Grpc),
            (&[("upgrade", "WebSocket")], Protocol::WebSocket),
            (&[("upgrade", "websocket"), ("content-type", "application/grpc")], Protocol::WebSocket),
        ];
        for (head, wanted) in table {
            let mut map = HeaderMap::new();
            for (name, value) in head {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(Protocol::of(FunctionKind::Http, &map), wanted, "{head:?}");
            assert_eq!(Protocol::of(FunctionKind::Event, &map), Protocol::Event, "{head:?}");
        }
    }
}
