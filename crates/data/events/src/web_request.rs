//! A whole HTTP request as the payload of an event, in the form of `message/http` (RFC 9112,
//! section 10.1): request line, header lines, an empty line, the body. Pure.

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Ends each line of the head.
const LINE_END: &[u8] = b"\r\n";
/// Ends the request line; the request is replayed as HTTP/1.1 whatever its version was.
const VERSION: &[u8] = b" HTTP/1.1";

/// A request that is stored and replayed unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// Its method.
    pub method: Method,
    /// Path and query as they were sent, without the function's address.
    pub target: PathAndQuery,
    /// Its headers, in their original order.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A payload that is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload of the event is no HTTP request: its {0} cannot be read")]
pub struct NotAWebRequest(&'static str);

impl WebRequest {
    /// An event without an original request, as a request to `/`. Without a `Host` it gets one,
    /// which HTTP/1.1 requires.
    pub fn of_event(mut headers: HeaderMap, body: Bytes) -> Self {
        headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        Self { method: Method::POST, target: PathAndQuery::from_static("/"), headers, body }
    }

    /// The request as a payload.
    pub fn to_bytes(&self) -> Bytes {
        let lines = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
        let line = self.method.as_str().len() + self.target.as_str().len() + VERSION.len() + 5;
        let mut bytes = Vec::with_capacity(line + lines + self.body.len());
        let parts = [self.method.as_str().as_bytes(), b" ", self.target.as_str().as_bytes(), VERSION, LINE_END];
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        for (name, value) in &self.headers {
            let parts = [name.as_str().as_bytes(), b": ", value.as_bytes(), LINE_END];
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
        }
        bytes.extend_from_slice(LINE_END);
        bytes.extend_from_slice(&self.body);
        bytes.into()
    }

    /// Parses the request in a payload.
    ///
    /// # Errors
    /// When the payload is not a request.
    pub fn from_bytes(payload: &Bytes) -> Result<Self, NotAWebRequest> {
        let (line, mut at) = next_line(payload, 0).ok_or(NotAWebRequest("request line"))?;
        let (method, target) = request_line(line).ok_or(NotAWebRequest("request line"))?;
        let mut headers = HeaderMap::new();
        loop {
            let (line, end) = next_line(payload, at).ok_or(NotAWebRequest("header"))?;
            at = end;
            if line.is_empty() {
                return Ok(Self { method, target, headers, body: payload.slice(at..) });
            }
            let (name, value) = header(line).ok_or(NotAWebRequest("header"))?;
            headers.append(name, value);
        }
    }
}

/// The line that begins at `at`, and the start of the next one. Neither a target nor a header can
/// contain a line end.
fn next_line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let len = rest.windows(LINE_END.len()).position(|two| two == LINE_END)?;
    Some((&rest[..len], at + len + LINE_END.len()))
}

fn request_line(line: &[u8]) -> Option<(Method, PathAndQuery)> {
    let line = line.strip_suffix(VERSION)?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let method = Method::from_bytes(&line[..space]).ok()?;
    let target = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(&line[space + 1..])).ok()?;
    Some((method, target))
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].strip_prefix(b" ")?;
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> WebRequest {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        let (method, body) = (method.parse().unwrap(), Bytes::copy_from_slice(body));
        WebRequest { method, target: target.parse().unwrap(), headers: map, body }
    }

    #[test]
    fn a_request_is_stored_as_http_writes_it() {
        let stored =
            request("PUT", "/a//b?x=%20", &[("host", b"h"), ("x-a", b"1"), ("x-a", b"2")], b"{\"a\": 1.0}\r\n");
        let text = "PUT /a//b?x=%20 HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-a: 2\r\n\r\n{\"a\": 1.0}\r\n";
        assert_eq!(stored.to_bytes(), text);
        assert_eq!(WebRequest::from_bytes(&stored.to_bytes()), Ok(stored));
    }

    #[test]
    fn a_payload_that_is_no_request_is_refused() {
        for bad in ["", "{}", "GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nx\r\n\r\n"] {
            assert!(WebRequest::from_bytes(&Bytes::from_static(bad.as_bytes())).is_err(), "{bad:?}");
        }
    }

    fn values() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0x20_u8..=0x7e, 0..20)
    }

    proptest! {
        #[test]
        fn every_request_comes_back_byte_by_byte(
            method in "[A-Z]{1,12}",
            target in "/[a-z0-9/%.]{0,30}([?][a-z0-9=&%]{0,20})?",
            headers in prop::collection::vec(("[a-z][a-z0-9-]{0,10}", values()), 0..8),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let headers: Vec<(&str, &[u8])> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            let stored = request(&method, &target, &headers, &body);
            prop_assert_eq!(WebRequest::from_bytes(&stored.to_bytes()), Ok(stored));
        }

        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = WebRequest::from_bytes(&payload.into());
        }
    }
}
