//! Changes to a request's head before a function receives it: the address is cut from the path,
//! headers that a client may not set are dropped, and the client is identified. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::client_headers::sanitize;
use crate::trusted_proxies::{TrustedProxies, X_FORWARDED_FOR};

/// The host in the client's request.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The path below which the client reaches the function.
pub const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Number of headers that are added here: those above, and a `Host`.
const HEADERS_ADDED: usize = 5;

/// The peer of a connection; created once for all its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    ip: IpAddr,
    value: HeaderValue,
    /// Whether it uses TLS.
    is_secure: bool,
    trusted: bool,
    /// The known proxies, where not every peer is one.
    proxies: Option<Arc<TrustedProxies>>,
    /// Whether it is an instance on this machine, identified by its address.
    is_instance: bool,
}

impl Peer {
    /// The peer at `ip`, over TLS or not; with `trusted` its own `X-Forwarded-*` are trusted.
    pub fn new(ip: IpAddr, is_secure: bool, trusted: bool) -> Self {
        let ip = ip.to_canonical();
        let value = HeaderValue::from_str(&ip.to_string()).expect("an address is printable ASCII");
        Self { ip, value, is_secure, trusted, proxies: None, is_instance: false }
    }

    /// A peer that is trusted if it is one of these proxies.
    pub fn among(ip: IpAddr, is_secure: bool, proxies: &Arc<TrustedProxies>) -> Self {
        Self { proxies: Some(Arc::clone(proxies)), ..Self::new(ip, is_secure, proxies.has(ip)) }
    }

    /// An instance of this platform; never treated as a proxy, whatever the settings are.
    pub fn instance(ip: IpAddr, is_secure: bool) -> Self {
        Self { is_instance: true, ..Self::new(ip, is_secure, false) }
    }

    /// The address of the instance, if it is one.
    pub fn as_instance(&self) -> Option<IpAddr> {
        self.is_instance.then_some(self.ip)
    }

    /// Whether the client's request used TLS, to here or to a trusted proxy.
    pub fn is_secure(&self, headers: &HeaderMap) -> bool {
        let first = || Some(headers.get(X_FORWARDED_PROTO)?.to_str().ok()?.split(',').next()?.trim().to_owned());
        let to_proxy = self.trusted.then(first).flatten();
        to_proxy.map_or(self.is_secure, |scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The client's address: the peer's, or the one that a trusted peer forwards. Where the proxies
    /// are known, the address that the first of them received.
    pub fn remote_address(&self, headers: &HeaderMap) -> IpAddr {
        if let Some(proxies) = self.proxies.as_ref().filter(|_| self.trusted) {
            return proxies.client(headers).unwrap_or(self.ip);
        }
        let seen = || {
            let last = headers.get_all(X_FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
            last.rsplit(',').next()?.trim().parse().ok()
        };
        self.trusted.then(seen).flatten().unwrap_or(self.ip)
    }
}

/// The rest of the target after the first `prefix_len` bytes: unchanged, and at least `/`.
fn cut_prefix(target: &PathAndQuery, prefix_len: usize) -> Result<PathAndQuery, InvalidUri> {
    let rest = &target.as_str()[prefix_len..];
    if rest.starts_with('/') {
        PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(rest.as_bytes()))
    } else {
        PathAndQuery::from_maybe_shared(Bytes::from(format!("/{rest}")))
    }
}

/// Rewrites a head for the function: origin form without the address, a `Host`, and
/// `X-Forwarded-*`.
pub fn prepare(parts: &mut Parts, prefix_len: usize, peer: &Peer) -> Result<(), InvalidUri> {
    // Once, instead of at every second added header.
    parts.headers.reserve(HEADERS_ADDED);
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
    // First, so that `Connection` cannot name headers that are added here.
    sanitize(&mut parts.headers, peer.trusted);
    name_client(&mut parts.headers, peer);
    if prefix_len > 0 {
        name_prefix(parts, prefix_len, peer.trusted);
    }
    if prefix_len > 0 || parts.uri.authority().is_some() {
        let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let target = if prefix_len > 0 { cut_prefix(&target, prefix_len)? } else { target };
        parts.uri = Uri::from(target);
    }
    Ok(())
}

fn name_client(headers: &mut HeaderMap, peer: &Peer) {
    if peer.trusted {
        headers.append(X_FORWARDED_FOR, peer.value.clone());
    } else {
        headers.insert(X_FORWARDED_FOR, peer.value.clone());
    }
    // Each separately: many proxies send only the scheme.
    if !(peer.trusted && headers.contains_key(X_FORWARDED_PROTO)) {
        let scheme = if peer.is_secure { "https" } else { "http" };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if !(peer.trusted && headers.contains_key(X_FORWARDED_HOST)) {
        match headers.get(HOST).cloned() {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }
}

/// Passes the function its mount path, so that it can write links to itself.
fn name_prefix(parts: &mut Parts, prefix_len: usize, trusted: bool) {
    let Some(prefix) = parts.uri.path().get(..prefix_len) else { return };
    let outer = parts.headers.get(X_FORWARDED_PREFIX).filter(|_| trusted).map_or(&b""[..], HeaderValue::as_bytes);
    if let Ok(value) = HeaderValue::from_bytes(&[outer, prefix.as_bytes()].concat()) {
        parts.headers.insert(X_FORWARDED_PREFIX, value);
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};
    use proptest::prelude::*;

    use super::*;

    fn prepared(uri: &str, prefix_len: usize, headers: &[(&str, &str)], trusted: bool) -> Parts {
        let mut builder = Request::builder().uri(uri).version(Version::HTTP_11);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut parts = builder.body(()).expect("a valid request").into_parts().0;
        prepare(&mut parts, prefix_len, &Peer::new([192, 0, 2, 7].into(), false, trusted)).expect("a valid path");
        parts
    }

    fn header(parts: &Parts, name: &str) -> String {
        let values: Vec<_> = parts.headers.get_all(name).iter().map(|v| v.to_str().expect("text")).collect();
        values.join(", ")
    }

    #[test]
    fn the_address_is_cut_and_the_rest_stays_as_sent() {
        for (uri, prefix_len, expected) in [
            ("/a/b?q", 0, "/a/b?q"),
            ("/fn/n/ff", 8, "/"),
            ("/fn/n/ff?q=%2F", 8, "/?q=%2F"),
            ("/fn/n/ff//x/%41?y", 8, "//x/%41?y"),
            ("http://h/fn/n/ff/x", 8, "/x"),
            ("http://h", 0, "/"),
            ("*", 0, "*"),
        ] {
            assert_eq!(prepared(uri, prefix_len, &[], false).uri.to_string(), expected, "{uri}");
        }
    }

    #[test]
    fn a_host_in_the_target_becomes_the_host_header() {
        let parts = prepared("http://real:81/x", 0, &[("host", "other")], false);
        assert_eq!((header(&parts, "host"), header(&parts, "x-forwarded-host")), ("real:81".into(), "real:81".into()));
    }

    #[test]
    fn what_an_unknown_client_claims_about_itself_is_replaced() {
        let claims = [
            ("host", "h"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "for=10.0.0.1"),
        ];
        let parts = prepared("/fn/n/ff/x", 8, &claims, false);
        assert_eq!(header(&parts, "x-forwarded-for"), "192.0.2.7");
        assert_eq!(header(&parts, "x-forwarded-host"), "h");
        assert_eq!(header(&parts, "x-forwarded-proto"), "http");
        assert_eq!(header(&parts, "x-forwarded-prefix"), "/fn/n/ff");
        assert_eq!(header(&parts, "forwarded"), "");
        assert_eq!(
            Peer::new([1, 2, 3, 4].into(), false, false).remote_address(&parts.headers),
            IpAddr::from([1, 2, 3, 4])
        );
    }

    #[test]
    fn connection_cannot_name_away_what_the_gateway_adds() {
        let names = "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix, Host";
        for trusted in [false, true] {
            let parts = prepared("/fn/n/ff/x", 8, &[("host", "h"), ("connection", names)], trusted);
            assert_eq!(header(&parts, "x-forwarded-for"), "192.0.2.7");
            assert_eq!(header(&parts, "x-forwarded-host"), "h");
            assert_eq!(header(&parts, "x-forwarded-proto"), "http");
            assert_eq!(header(&parts, "x-forwarded-prefix"), "/fn/n/ff");
            assert_eq!(header(&parts, "connection"), "");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added_to() {
        let claims = [
            ("host", "h"),
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-host", "public"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/outer"),
        ];
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.1, 10.0.0.2"));
        assert_eq!(Peer::new([1, 2, 3, 4].into(), false, true).remote_address(&headers), IpAddr::from([10, 0, 0, 2]));
        let parts = prepared("/fn/n/ff/x", 8, &claims, true);
        assert_eq!(header(&parts, "x-forwarded-for"), "10.0.0.1, 10.0.0.2, 192.0.2.7");
        assert_eq!(header(&parts, "x-forwarded-host"), "public");
        assert_eq!(header(&parts, "x-forwarded-proto"), "https");
        assert_eq!(header(&parts, "x-forwarded-prefix"), "/outer/fn/n/ff");
    }

    #[test]
    fn a_trusted_proxy_is_believed_in_each_header_for_itself() {
        let parts = prepared("/", 0, &[("host", "h"), ("x-forwarded-proto", "https")], true);
        assert_eq!(
            (header(&parts, "x-forwarded-proto"), header(&parts, "x-forwarded-host")),
            ("https".into(), "h".into())
        );
        let parts = prepared("/", 0, &[("host", "h"), ("x-forwarded-host", "public")], true);
        assert_eq!(
            (header(&parts, "x-forwarded-proto"), header(&parts, "x-forwarded-host")),
            ("http".into(), "public".into())
        );
    }

    #[test]
    fn peers_are_believed_that_are_among_the_proxies_and_instances_never() {
        let proxies = Arc::new(TrustedProxies::try_from(vec!["10.0.0.0/8".to_owned()]).expect("ranges"));
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1, 203.0.113.9, 10.0.0.9"));
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        for (peer, client, secure) in [
            (Peer::among([10, 0, 0, 7].into(), false, &proxies), [203, 0, 113, 9], true),
            (Peer::among([192, 0, 2, 7].into(), false, &proxies), [192, 0, 2, 7], false),
            (Peer::instance([10, 222, 0, 3].into(), false), [10, 222, 0, 3], false),
            (Peer::new([192, 0, 2, 7].into(), false, true), [10, 0, 0, 9], true),
        ] {
            assert_eq!((peer.remote_address(&headers), peer.is_secure(&headers)), (client.into(), secure), "{peer:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_behind_the_address_comes_through_unchanged(rest in "(/[!-~&&[^?#\"<>`{}|\\\\^]]{0,40})([?][!-~&&[^#\"<>]]{0,40})?") {
            let target = format!("/fn/n/ff{rest}").parse::<PathAndQuery>();
            prop_assume!(target.is_ok());
            let cut = cut_prefix(&target.expect("checked"), 8).expect("valid");
            prop_assert_eq!(cut.as_str(), rest);
        }
    }
}
