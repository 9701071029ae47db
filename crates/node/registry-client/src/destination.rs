//! Checks of destinations that a registry chooses (redirects, token servers, upload locations):
//! requests to them come from this machine, which may reach hosts that the registry cannot (SSRF).
//!
//! The address of the connection is checked, not the name in the URL: [`Resolver`] resolves names
//! and returns only allowed addresses, so that DNS rebinding has no effect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::AddressRange;

/// Allowed destinations: public addresses, those of the registry itself, and those of a setting.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    allowed: Vec<AddressRange>,
    denied: Vec<AddressRange>,
    /// Hosts and ports of this machine's proxies, which are configured and not checked.
    proxies: Vec<(String, u16)>,
}

/// Address of a registry's response, if it is not a public one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    host: String,
    address: IpAddr,
}

/// A destination that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, which is {kind}")]
pub struct RefusedDestination {
    /// Host in the URL.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// The reason, such as `a private address`.
    pub kind: &'static str,
}

const DENIED: &str = "in denied of [network]";
const LOOPBACK: &str = "a loopback address";
const LINK_LOCAL: &str = "a link-local address";
const PRIVATE: &str = "a private address";
const RESERVED: &str = "a reserved address";

impl Origin {
    #[cfg(test)]
    pub(crate) fn of(host: &str, address: IpAddr) -> Self {
        Self { host: host.to_owned(), address }
    }
}

impl Destinations {
    /// Allows public addresses and those in `allowed`, without those in `denied`. Proxies are those
    /// of the environment.
    pub fn new(allowed: Vec<AddressRange>, denied: Vec<AddressRange>) -> Self {
        Self { allowed, denied, proxies: proxies() }
    }

    /// The address of a response, if it allows more than public addresses. A response through a
    /// proxy has an unknown address.
    pub fn origin(&self, url: &Url, peer: Option<SocketAddr>) -> Option<Origin> {
        let peer = peer.filter(|peer| self.proxies.iter().all(|(_, port)| *port != peer.port()))?;
        let address = peer.ip().to_canonical();
        self.kind(address)?;
        Some(Origin { host: url.host_str()?.to_owned(), address })
    }

    /// Checks the address in a URL, if it has one instead of a name.
    ///
    /// # Errors
    /// The address is not allowed.
    pub fn check(&self, origin: Option<&Origin>, url: &Url) -> Result<(), RefusedDestination> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => self.check_address(origin, host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, origin: Option<&Origin>, host: &str, address: IpAddr) -> Result<(), RefusedDestination> {
        let address = address.to_canonical();
        let Some(kind) = self.kind(address) else { return Ok(()) };
        let is_origin = origin.is_some_and(|origin| {
            // A registry may have several addresses under its one name.
            address == origin.address || (host == origin.host && self.kind(origin.address) == Some(kind))
        });
        if is_origin { Ok(()) } else { Err(RefusedDestination { host: host.to_owned(), address, kind }) }
    }

    /// Why an address is not allowed; `None` for public and allowed ones.
    fn kind(&self, address: IpAddr) -> Option<&'static str> {
        let within = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
        if within(&self.allowed) {
            None
        } else if within(&self.denied) {
            Some(DENIED)
        } else {
            special(address)
        }
    }
}

/// Why an address is not a public one (IANA's special-purpose registries, RFC 6890).
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        // The kernel connects 0.0.0.0 to this machine.
        (127 | 0, ..) => Some(LOOPBACK),
        (169, 254, _) => Some(LINK_LOCAL),
        // Carriers', and providers' own services.
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Some(PRIVATE),
        (192, 0, 0) | (224.., ..) => Some(RESERVED),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(wrapped) = wrapped_v4(address) {
        return special_v4(wrapped);
    }
    match address.segments()[0] {
        _ if address.is_loopback() || address.is_unspecified() => Some(LOOPBACK),
        0xfe80..=0xfebf => Some(LINK_LOCAL),
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Some(PRIVATE),
        0xff00.. => Some(RESERVED),
        _ => None,
    }
}

/// The IPv4 address that a gateway would connect to: mapped, compatible, NAT64 (RFC 6052) and 6to4
/// (RFC 3056).
fn wrapped_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Hosts and ports of the proxies that the environment names.
fn proxies() -> Vec<(String, u16)> {
    let names = ["http_proxy", "https_proxy", "all_proxy"];
    let values = names.iter().flat_map(|name| [std::env::var(name), std::env::var(name.to_uppercase())]);
    let urls = values.flatten().filter_map(|value| {
        let value = if value.contains("://") { value } else { format!("http://{value}") };
        value.parse::<Url>().ok()
    });
    urls.filter_map(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?))).collect()
}

/// Resolves names of destinations to allowed addresses.
pub struct Resolver {
    destinations: Arc<Destinations>,
    origin: Option<Origin>,
}

impl Resolver {
    /// For destinations chosen by the registry at `origin`.
    pub fn new(destinations: Arc<Destinations>, origin: Option<Origin>) -> Self {
        Self { destinations, origin }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (destinations, origin) = (self.destinations.clone(), self.origin.clone());
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await?;
            let is_proxy = destinations.proxies.iter().any(|(proxy, _)| proxy == host);
            let (mut addresses, mut refused) = (Vec::new(), None);
            for address in found {
                match destinations.check_address(origin.as_ref(), host, address.ip()) {
                    Err(destination) if !is_proxy => refused = Some(destination),
                    _ => addresses.push(address),
                }
            }
            match refused {
                Some(destination) if addresses.is_empty() => Err(destination.into()),
                _ => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Option<&'static str> {
        let denied =
            ["100.100.100.200", "168.63.129.16", "169.254.0.0/16"].map(|range| range.parse().expect("a range"));
        let allowed = ["10.9.0.0/16", "169.254.7.7"].map(|range| range.parse().expect("a range"));
        let destinations = Destinations { allowed: allowed.into(), denied: denied.into(), proxies: Vec::new() };
        destinations.kind(address.parse::<IpAddr>().expect("an address").to_canonical())
    }

    #[test]
    fn addresses_that_are_not_the_internets_are_told_by_kind() {
        for (expected, addresses) in [
            (None, &["8.8.8.8", "172.32.0.1", "172.15.0.1", "100.128.0.1", "2606:4700::1111"][..]),
            (None, &["10.9.8.7", "169.254.7.7"]),
            (Some(LOOPBACK), &["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1"]),
            (Some(LINK_LOCAL), &["fe80::1", "64:ff9b::a9fe:a9fe"]),
            (Some(DENIED), &["169.254.169.254", "100.100.100.200", "168.63.129.16", "::ffff:169.254.169.254"]),
            (
                Some(PRIVATE),
                &["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "2002:a00:1::", "fec0::1"],
            ),
            (Some(RESERVED), &["224.0.0.1", "255.255.255.255", "192.0.0.1", "ff02::1"]),
        ] {
            for address in addresses {
                assert_eq!(kind(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn a_registry_may_lead_to_where_it_is_itself() {
        let destinations = Destinations::default();
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let origin = |peer: &str| destinations.origin(&url("https://lab/v2/"), Some(peer.parse().expect("an address")));
        assert_eq!(origin("8.8.8.8:443"), None);
        let lab = origin("10.0.0.5:443");
        let may = |host: &str, address: &str| {
            destinations.check_address(lab.as_ref(), host, address.parse().expect("an address")).is_ok()
        };
        assert!(may("blobs", "10.0.0.5") && may("lab", "10.0.0.6") && may("blobs", "8.8.8.8"));
        assert!(!may("blobs", "10.0.0.6") && !may("lab", "127.0.0.1") && !may("lab", "169.254.169.254"));
        for (target, allowed) in [
            ("http://10.0.0.5:9000/", true),
            ("http://127.1/", false),
            ("http://0x7f000001/", false),
            ("http://[::ffff:10.0.0.6]/", false),
            ("http://name/", true),
        ] {
            assert_eq!(destinations.check(lab.as_ref(), &url(target)).is_ok(), allowed, "{target}");
        }
    }

    #[test]
    fn an_answer_by_way_of_a_proxy_allows_no_more() {
        let destinations = Destinations { proxies: vec![("proxy".to_owned(), 3128)], ..Destinations::default() };
        let url = "https://lab/".parse().expect("a URL");
        assert_eq!(destinations.origin(&url, Some(([10, 0, 0, 1], 3128).into())), None);
        assert!(destinations.origin(&url, Some(([10, 0, 0, 1], 443).into())).is_some());
    }

    #[tokio::test]
    async fn names_are_resolved_to_what_may_be_connected_to() {
        let resolve = |origin: Option<Origin>| async move {
            let resolver = Resolver::new(Arc::new(Destinations::default()), origin);
            resolver.resolve("localhost".parse().expect("a name")).await.map(Iterator::count)
        };
        let refused = resolve(None).await.expect_err("loopback");
        assert!(refused.downcast_ref::<RefusedDestination>().is_some(), "{refused}");
        let itself = Origin::of("localhost", [127, 0, 0, 1].into());
        assert!(resolve(Some(itself)).await.expect("where it is itself") > 0);
    }
}
