//! Filter of clients' headers at the gateway (decision 35 has the reasons). Pure.
//!
//! A server behind CGI or WSGI reads a header's name with every character that is neither letter
//! nor digit as `_`, so names are compared that way: `X_Forwarded.For` is equal to
//! `X-Forwarded-For` there.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

/// Prefix of headers that only the platform sets.
const PLATFORM_PREFIX: &str = "x-scf-";
/// CGI turns it into `HTTP_PROXY`, which HTTP clients read as a setting (httpoxy). It has no
/// meaning in a request.
const PROXY: &str = "proxy";
/// Prefixes of headers that only a proxy may set, about the client or its request.
const PROXY_PREFIXES: [&str; 2] = ["x-forwarded-", "x-original-"];
/// Complete names of such headers.
const PROXY_NAMES: [&str; 7] =
    ["forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-rewrite-url"];
/// Hop-by-hop headers, besides those that `Connection` names.
const OF_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// The origin of a header name, with names compared as CGI reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A client's own header.
    Client,
    /// A proxy's header, in its proper spelling.
    Proxy,
    /// Forged before this gateway: a header of the platform, or another spelling of a proxy's.
    Forged,
}

/// Drops the headers that `Connection` names, which were meant for this hop, and those that a
/// client may not set: `X-Scf-*`, `Proxy` and every other spelling of a proxy's headers; from a
/// client that is not `trusted` the proxy's headers too. `Connection` itself is removed, so that it
/// cannot name headers that are added later.
pub fn sanitize(headers: &mut HeaderMap, trusted: bool) {
    drop_named(headers);
    let dropped = |name: &&HeaderName| match standing(name.as_str()) {
        Standing::Client => false,
        Standing::Proxy => !trusted,
        Standing::Forged => true,
    };
    let dropped: Vec<HeaderName> = headers.keys().filter(dropped).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// Drops hop-by-hop headers of a request that is not forwarded over a connection.
pub fn end_connection(headers: &mut HeaderMap) {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

/// Headers without which the request could not be read are kept: its host, its framing, and its
/// upgrade.
fn drop_named(headers: &mut HeaderMap) {
    let needed = |name: &HeaderName| [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TE, UPGRADE].contains(name);
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value: &HeaderValue| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !needed(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// `name` is in lower case, as header names are.
fn standing(name: &str) -> Standing {
    if begins(name, PLATFORM_PREFIX) || is(name, PROXY) {
        return Standing::Forged;
    }
    let proxys =
        PROXY_PREFIXES.iter().any(|prefix| begins(name, prefix)) || PROXY_NAMES.iter().any(|whole| is(name, whole));
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match (proxys, is_plain) {
        (false, _) => Standing::Client,
        (true, true) => Standing::Proxy,
        (true, false) => Standing::Forged,
    }
}

fn begins(name: &str, prefix: &str) -> bool {
    let same = |(byte, wanted): (u8, u8)| byte == wanted || (wanted == b'-' && !byte.is_ascii_alphanumeric());
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(same)
}

fn is(name: &str, whole: &str) -> bool {
    name.len() == whole.len() && begins(name, whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(headers: &[(&str, &str)], trusted: bool) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        sanitize(&mut map, trusted);
        let mut left: Vec<String> = map.keys().map(|name| name.as_str().to_owned()).collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn what_connection_names_goes_except_what_the_request_is_read_by() {
        let headers = [
            ("connection", "close, X-Hop, x-forwarded-for"),
            ("connection", "Host,content-length, upgrade ,te"),
            ("x-hop", "1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("host", "a"),
            ("content-length", "1"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ];
        for trusted in [true, false] {
            assert_eq!(left(&headers, trusted), ["accept", "content-length", "host", "te", "upgrade"]);
        }
    }

    #[test]
    fn what_only_a_proxy_says_passes_from_a_proxy_and_in_its_own_spelling_alone() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-user",
            "x-forwarded-ssl",
            "x-forwarded-anything",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-client-ip",
            "true-client-ip",
        ] {
            assert_eq!(left(&[(name, "1")], false), [""; 0], "{name}");
            assert_eq!(left(&[(name, "1")], true), [name], "{name}");
            for other in [name.replace('-', "_"), name.replacen('-', "_", 1), name.replacen('-', ".", 1)] {
                let passes = if other == name { vec![name] } else { vec![] };
                assert_eq!(left(&[(&other, "1")], true), passes, "{other}");
                assert_eq!(left(&[(&other, "1")], false), [""; 0], "{other}");
            }
        }
    }

    #[test]
    fn what_nobody_says_never_passes_and_a_clients_own_always_does() {
        for name in ["x-scf-name", "x_scf_name", "x-scf_name", "x.scf-name", "x-scf-", "proxy"] {
            assert_eq!(left(&[(name, "1")], true), [""; 0], "{name}");
        }
        for name in [
            "x-scf",
            "x-scfoo",
            "proxy-authorization",
            "x_mine",
            "forwardedness",
            "via",
            "cf-connecting-ip",
            "x-real-ipx",
        ] {
            assert_eq!(left(&[(name, "1")], false), [name], "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_spelling_of_the_platforms_headers_passes(
            name in "[xX][-_.!][a-zA-Z]{3,9}[-_.!][a-zA-Z_-]{0,8}", trusted: bool,
        ) {
            let read: String = name.to_ascii_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
            let left = left(&[(&name, "1")], trusted);
            if read.starts_with("x-scf-") || (read.starts_with("x-forwarded-") && (!trusted || name.contains(['_', '.', '!']))) {
                prop_assert_eq!(left.len(), 0);
            }
        }
    }
}
