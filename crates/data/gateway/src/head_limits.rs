//! Limits of a request's head, and the response when they are exceeded. Pure.

use bytes::Bytes;
use http::header::COOKIE;
use http::request::Parts;
use types::RequestId;

use crate::config::Config;
use crate::error_response::RequestError;

/// Smallest buffer of the HTTP/1 parser, in bytes.
const BYTES_MIN: usize = 8 * 1024;
/// Header lines for which hyper has room on its stack.
const LIBRARY_HEADERS_MAX: usize = 100;
/// Bytes of a line besides name and value, and of a request line besides method and target.
const LINE_BYTES: usize = ": \r\n".len();

/// Limits of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Header lines.
    pub headers_max: usize,
    /// Total bytes.
    pub bytes_max: usize,
}

impl HeadLimits {
    /// The limits of the configuration.
    pub fn new(config: &Config) -> Self {
        let bytes_max = (config.request_head_bytes_max as usize).max(BYTES_MIN);
        Self { headers_max: config.request_headers_max, bytes_max }
    }

    /// The number of header lines to configure in hyper, where its default does not suffice: the
    /// default is on its stack, while any configured number makes it fill two arrays on the heap
    /// for each request.
    pub fn headers_max_of_library(self) -> Option<usize> {
        (self.headers_max > LIBRARY_HEADERS_MAX).then_some(self.headers_max)
    }

    /// The number of bytes at which hyper aborts: more than allowed, so that most responses can
    /// report the actual size.
    pub fn bytes_max_of_library(self) -> usize {
        self.bytes_max.saturating_mul(2)
    }

    /// The complete response to a head that hyper aborts, for which there is no request.
    pub fn refusal(self) -> Bytes {
        let Self { headers_max, bytes_max } = self;
        let response = RequestError::HeadUnread { headers_max, bytes_max }.to_response(&RequestId::random());
        let mut text = format!("HTTP/1.1 {}\r\nconnection: close\r\n", response.status()).into_bytes();
        for (name, value) in response.headers() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        text.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body().len()).as_bytes());
        text.extend_from_slice(response.body());
        text.into()
    }

    /// Refuses a head that is too large.
    pub fn check(&self, parts: &Parts) -> Result<(), RequestError> {
        // HTTP/2 has a field for each cookie; together they count as one line (RFC 9113, 8.2.3).
        let cookies = parts.headers.get_all(COOKIE).iter().count();
        let headers = parts.headers.len() - cookies.saturating_sub(1);
        if headers > self.headers_max {
            let what = format!("head has {headers} headers");
            return Err(RequestError::Head { what, max: self.headers_max, setting: "gateway.request_headers_max" });
        }
        let line = parts.method.as_str().len() + parts.uri.path_and_query().map_or(1, |target| target.as_str().len());
        let lines = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES);
        let bytes = line + LINE_BYTES + lines.sum::<usize>();
        if bytes > self.bytes_max {
            let what = format!("line and headers have {bytes} bytes");
            return Err(RequestError::Head { what, max: self.bytes_max, setting: "gateway.request_head_bytes_max" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn cookies_are_one_line_however_many_fields_they_come_in() {
        let limits = HeadLimits { headers_max: 3, bytes_max: 10_000 };
        let request = |cookies| {
            let request = Request::get("/").header("a", "1").header("b", "2");
            (0..cookies).fold(request, |request, _| request.header("cookie", "c=1")).body(()).expect("valid")
        };
        assert!(limits.check(&request(150).into_parts().0).is_ok());
        assert!(
            limits
                .check(
                    &Request::get("/")
                        .header("d", "1")
                        .header("e", "1")
                        .header("f", "1")
                        .header("g", "1")
                        .body(())
                        .expect("valid")
                        .into_parts()
                        .0
                )
                .is_err()
        );
    }

    fn refused(lines: usize, bytes: usize) -> Option<String> {
        let mut request = Request::get("/").body(()).expect("valid");
        for _ in 0..lines {
            request.headers_mut().append("x-h", "x".repeat(bytes).parse().expect("valid"));
        }
        let limits = HeadLimits::new(&Config::default());
        limits.check(&request.into_parts().0).err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn a_head_that_is_too_large_is_told_with_its_setting() {
        assert_eq!(refused(100, 10), None);
        assert_eq!(refused(1, 65_000), None);
        assert!(refused(101, 1).is_some_and(|error| error.contains("gateway.request_headers_max")));
        assert!(refused(2, 33_000).is_some_and(|error| error.contains("gateway.request_head_bytes_max")));
    }
}
