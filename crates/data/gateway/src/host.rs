//! The host of a request (RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Version};
use types::limits::HOST_LEN_MAX;

/// Why a request's host is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// HTTP/1.1 requires one.
    #[error("the request has no Host header, which HTTP/1.1 requires")]
    Missing,
    /// Two parties could derive two different hosts from it.
    #[error("the request has more than one Host header")]
    Several,
    /// Not a host with an optional port.
    #[error("the request's host is not a name or address with an optional port")]
    Malformed,
    /// Longer than any valid name.
    #[error("the request's host has {len} bytes; a host name has at most {HOST_LEN_MAX}")]
    TooLong {
        /// Bytes of the name, without port and final dot.
        len: usize,
    },
}

/// The host with its port, as it was sent; `None` where HTTP allows none. An authority in the
/// request's target takes precedence over the header.
pub fn of_request(parts: &Parts) -> Result<Option<&str>, BadHost> {
    let header = of_headers(&parts.headers);
    if let Some(authority) = parts.uri.authority() {
        // The header is not used then, but several of them still indicate a faulty or hostile
        // sender.
        if header == Err(BadHost::Several) {
            return Err(BadHost::Several);
        }
        return checked(authority.as_str()).map(Some);
    }
    match header? {
        None if parts.version == Version::HTTP_11 => Err(BadHost::Missing),
        host => Ok(host.filter(|text| !text.is_empty())),
    }
}

fn of_headers(headers: &HeaderMap) -> Result<Option<&str>, BadHost> {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(BadHost::Several),
        (Some(value), None) => checked(value.to_str().map_err(|_| BadHost::Malformed)?).map(Some),
    }
}

/// The characters of RFC 3986's host and port. User information (`user@`) is not among them.
fn checked(text: &str) -> Result<&str, BadHost> {
    let len = name(text).len();
    if len > HOST_LEN_MAX {
        return Err(BadHost::TooLong { len });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&b);
    let (_, port) = split_port(text);
    if text.bytes().all(allowed) && port.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text)
    } else {
        Err(BadHost::Malformed)
    }
}

/// Splits `host:port`; the port is empty when there is none.
fn split_port(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        // A colon inside the brackets of an IPv6 address does not begin a port.
        Some((_, tail)) if tail.contains(']') => (text, ""),
        Some((host, port)) => (host, port),
        None => (text, ""),
    }
}

/// The host without its port and without the final dot of a fully qualified name.
pub fn name(host: &str) -> &str {
    let (name, _) = split_port(host);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, version: Version, hosts: &[&str]) -> Parts {
        let mut builder = Request::builder().uri(uri).version(version);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        builder.body(()).expect("a valid request").into_parts().0
    }

    #[test]
    fn the_host_comes_from_the_target_or_else_from_the_header() {
        type Case<'a> = (&'a str, Version, &'a [&'a str], Result<Option<&'a str>, BadHost>);
        let cases: &[Case<'_>] = &[
            ("/a", Version::HTTP_11, &["x.y:80"], Ok(Some("x.y:80"))),
            ("http://z.y/a", Version::HTTP_11, &["x.y"], Ok(Some("z.y"))),
            ("http://z.y:7/a", Version::HTTP_2, &[], Ok(Some("z.y:7"))),
            ("/a", Version::HTTP_11, &["[::1]:80"], Ok(Some("[::1]:80"))),
            ("/a", Version::HTTP_11, &[""], Ok(None)),
            ("/a", Version::HTTP_10, &[], Ok(None)),
            ("/a", Version::HTTP_11, &[], Err(BadHost::Missing)),
            ("/a", Version::HTTP_11, &["x", "x"], Err(BadHost::Several)),
            ("http://z.y/a", Version::HTTP_11, &["x", "z"], Err(BadHost::Several)),
            ("/a", Version::HTTP_11, &["a b"], Err(BadHost::Malformed)),
            ("/a", Version::HTTP_11, &["a/b"], Err(BadHost::Malformed)),
            ("/a", Version::HTTP_11, &["user@a"], Err(BadHost::Malformed)),
            ("/a", Version::HTTP_11, &["a:b"], Err(BadHost::Malformed)),
        ];
        for (uri, version, hosts, expected) in cases {
            assert_eq!(of_request(&parts(uri, *version, hosts)), *expected, "{uri} {version:?} {hosts:?}");
        }
    }

    #[test]
    fn a_host_that_is_longer_than_any_name_is_refused_wherever_it_stands() {
        let host = |len: usize| format!("{}:65535", "a".repeat(len));
        let longest = host(HOST_LEN_MAX);
        assert_eq!(of_request(&parts("/", Version::HTTP_11, &[&longest])), Ok(Some(longest.as_str())));
        for len in [HOST_LEN_MAX + 1, 10_000] {
            let refused = Err(BadHost::TooLong { len });
            assert_eq!(of_request(&parts("/", Version::HTTP_11, &[&host(len)])), refused);
            assert_eq!(of_request(&parts(&format!("http://{}/", host(len)), Version::HTTP_2, &[])), refused);
        }
    }

    #[test]
    fn a_port_and_a_final_dot_are_no_part_of_the_name() {
        for (host, expected) in [("a.b", "a.b"), ("a.b:80", "a.b"), ("a.b.:80", "a.b"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(name(host), expected, "{host}");
        }
    }
}
