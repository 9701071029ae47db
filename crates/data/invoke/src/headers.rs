//! Header filtering between a caller and an instance.
//!
//! Pure. Towards the instance: all headers except those of the caller's connection (RFC 9110,
//! 7.6.1) and those in the platform's own `X-Scf-*` namespace; then the platform's are added. From
//! the instance: all except those of its connection.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use types::{CatalogVersion, RequestId};

use crate::call::Installation;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-scf-request-id");
pub(crate) const STATUS: HeaderName = HeaderName::from_static("x-scf-status");
pub(crate) const TRIGGER_SRC: HeaderName = HeaderName::from_static("x-scf-trigger-src");
/// Of HTTP/1.0 and servers that announce their timeout (RFC 2068, 19.7.1).
pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const MEMORY: HeaderName = HeaderName::from_static("x-scf-memory");
const TIMEOUT: HeaderName = HeaderName::from_static("x-scf-timeout");
const VERSION: HeaderName = HeaderName::from_static("x-scf-version");
const NAME: HeaderName = HeaderName::from_static("x-scf-name");
const NAMESPACE: HeaderName = HeaderName::from_static("x-scf-namespace");
const REGION: HeaderName = HeaderName::from_static("x-scf-region");
const APP_ID: HeaderName = HeaderName::from_static("x-scf-appid");
const UIN: HeaderName = HeaderName::from_static("x-scf-uin");

const RESERVED_PREFIX: &[u8] = b"x-scf-";
/// Hop-by-hop headers, besides those that `Connection` names.
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    KEEP_ALIVE,
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// A request's id as a header value.
pub(crate) fn id(request: &RequestId) -> HeaderValue {
    HeaderValue::from_str(request.as_str()).expect("an id is hexadecimal digits and hyphens")
}

/// Text as a header value; characters that a header cannot carry as ASCII become `?`.
pub(crate) fn value(text: &str) -> HeaderValue {
    if text.is_ascii()
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let plain: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    HeaderValue::from_str(&plain).expect("visible ASCII is a header value")
}

/// The platform's headers that are the same for every request to a version (contract 4.1).
pub(crate) struct VersionHeaders {
    map: HeaderMap,
    /// The headers as lines of HTTP/1.1.
    lines: Vec<u8>,
}

/// The platform's headers of one request; added by the connection that it is sent over.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    pub of_version: &'a VersionHeaders,
    pub request: &'a RequestId,
}

impl VersionHeaders {
    pub fn new(version: &CatalogVersion, platform: &Installation) -> Self {
        let map = of_version(version, platform);
        let mut lines = Vec::new();
        for (name, value) in &map {
            push_line(&mut lines, name, value.as_bytes());
        }
        Self { map, lines }
    }
}

impl Stamp<'_> {
    /// Writes the headers as lines of HTTP/1.1.
    pub fn write_lines(&self, lines: &mut Vec<u8>) {
        lines.extend_from_slice(&self.of_version.lines);
        push_line(lines, &REQUEST_ID, self.request.as_str().as_bytes());
    }

    /// Inserts them as headers of HTTP/2.
    pub fn insert(&self, map: &mut HeaderMap) {
        for (name, value) in &self.of_version.map {
            map.insert(name, value.clone());
        }
        map.insert(REQUEST_ID, id(self.request));
    }
}

fn push_line(lines: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
}

fn of_version(version: &CatalogVersion, platform: &Installation) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(16);
    map.insert(MEMORY, HeaderValue::from(version.spec.memory_mb));
    map.insert(TIMEOUT, HeaderValue::from(version.spec.timeout_s));
    map.insert(VERSION, value(&version.key.version.to_string()));
    map.insert(NAME, value(version.function.key.name.as_str()));
    map.insert(NAMESPACE, value(version.function.key.namespace.as_str()));
    map.insert(REGION, value(&platform.region));
    map.insert(APP_ID, value(&platform.app_id));
    map.insert(UIN, value(&platform.uin));
    map
}

/// Which kinds of header names a head contains, found in one pass: most heads need nothing removed.
#[derive(Default)]
struct Names {
    hop_by_hop: bool,
    reserved: bool,
    expect: bool,
    host: bool,
    cookie: bool,
}

impl Names {
    fn of(map: &HeaderMap) -> Self {
        let mut names = Self::default();
        for name in map.keys() {
            names.hop_by_hop |= is_hop_by_hop(name);
            names.reserved |= is_reserved(name);
            match name.as_str() {
                "expect" => names.expect = true,
                "host" => names.host = true,
                "cookie" => names.cookie = true,
                _ => {}
            }
        }
        names
    }
}

/// Removes headers of a caller's request that must not reach the instance and adds those that
/// HTTP/1.1 needs.
pub(crate) fn towards_instance(map: &mut HeaderMap, authority: Option<&Authority>) {
    let names = Names::of(map);
    if names.hop_by_hop {
        let wants_trailers = map.get_all(header::TE).iter().any(|value| has_token(value, "trailers"));
        strip_connection(map);
        if wants_trailers {
            map.insert(header::TE, HeaderValue::from_static("trailers"));
            map.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
    }
    if names.expect {
        // The connection to the instance sends the body without waiting for a 100 response.
        map.remove(header::EXPECT);
    }
    if names.reserved {
        strip_reserved(map);
    }
    if !names.host {
        let host = authority.map_or_else(|| HeaderValue::from_static("localhost"), |a| value(host_of(a)));
        map.insert(header::HOST, host);
    }
    if names.cookie {
        join_cookies(map);
    }
}

/// Removes fields that are not allowed in trailers: those of a connection, and framing (RFC 9110,
/// 6.5.1; RFC 9113, 8.2.2). Over HTTP/2 one such field would break the whole response.
pub(crate) fn of_trailers(map: &mut HeaderMap) {
    strip_connection(map);
    for name in [header::CONTENT_LENGTH, header::HOST, header::TE] {
        map.remove(name);
    }
}

/// Removes headers of an instance's response that belong to its connection or that only the
/// platform may set.
pub(crate) fn from_instance(map: &mut HeaderMap) {
    if map.keys().any(|name| is_hop_by_hop(name) || *name == STATUS) {
        strip_connection(map);
        map.remove(STATUS);
    }
}

/// Whether a request asks to switch to WebSocket, which cannot be answered as plain HTTP. Other
/// offers (`h2c`) may be ignored, which answers the request as it stands.
pub(crate) fn asks_for_websocket(map: &HeaderMap) -> bool {
    map.get_all(header::UPGRADE).iter().any(|value| has_token(value, "websocket"))
}

/// Whether a request is a gRPC call, by its content type.
pub(crate) fn is_grpc(map: &HeaderMap) -> bool {
    let kind = map.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let rest = kind.and_then(|kind| kind.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// Bytes of all names and values.
pub(crate) fn bytes(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Drops a caller's `X-Scf-*` headers, in any spelling that a server may treat as equal: WSGI and
/// CGI servers read every character that is neither letter nor digit as `_`.
pub(crate) fn strip_reserved(map: &mut HeaderMap) {
    let forged: Vec<HeaderName> = map.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in forged {
        map.remove(name);
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    name.len() >= RESERVED_PREFIX.len()
        && name
            .iter()
            .zip(RESERVED_PREFIX)
            .all(|(byte, wanted)| byte == wanted || (*wanted == b'-' && !byte.is_ascii_alphanumeric()))
}

/// Whether a name is in [`HOP_BY_HOP`]: one comparison of lengths for most, while comparing
/// interned names takes several each.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| {
        text.split(',').any(|item| item.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(token))
    })
}

/// Removes hop-by-hop headers: the known ones, and those that `Connection` names, except the two
/// that are needed to read a message at all.
fn strip_connection(map: &mut HeaderMap) {
    if map.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = map
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
            .collect();
        for name in named {
            map.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        map.remove(name);
    }
}

/// `host:port` without credentials.
fn host_of(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

/// Joins `Cookie` lines: HTTP/2 callers may split them; HTTP/1.1 has one (RFC 9113, 8.2.3).
fn join_cookies(map: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = map.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..])).expect("header values joined by a valid text");
        map.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
