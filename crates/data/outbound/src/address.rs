//! The addresses that may be connected to. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use registry_client::AddressRange;

const RESERVED: &str = "a reserved address";
const TUNNEL: &str = "the address of a tunnel";
const PROVIDER: &str = "a service of the cloud provider";

/// The reason to refuse an address, unless a setting allows it: all but global addresses are
/// refused (IANA's special-purpose registries, RFC 6890).
pub(crate) fn forbidden(address: IpAddr, allowed: &[AddressRange]) -> Option<&'static str> {
    let address = address.to_canonical();
    if allowed.iter().any(|range| range.contains(address)) {
        return None;
    }
    registry_client::special(address).or_else(|| match address {
        IpAddr::V4(address) => unusual_v4(address),
        IpAddr::V6(address) => unusual_v6(address),
    })
}

fn unusual_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [168, 63, 129, 16] => Some(PROVIDER),
        // Benchmarks and documentation.
        [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(RESERVED),
        _ => None,
    }
}

fn unusual_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        // NAT64 of public addresses, and 6to4: the embedded address was tested.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2002, ..] => None,
        // Teredo, ORCHID and other services of 2001::/23, and documentation.
        [0x2001, 0..=0x1ff, ..] => Some(TUNNEL),
        [0x2001, 0xdb8, ..] | [0x3fff, ..] => Some(RESERVED),
        // Global unicast.
        [0x2000..=0x3fff, ..] => None,
        _ => Some(RESERVED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_forbidden(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<AddressRange> = allowed.iter().map(|range| range.parse().unwrap()).collect();
        forbidden(address.parse().unwrap(), &allowed).is_some()
    }

    #[test]
    fn only_public_addresses_are_connected_to() {
        for address in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(!is_forbidden(address, &[]), "{address}");
        }
        for address in [
            // This machine.
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            // Private and carriers' networks.
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "fc00::1",
            "fd00::1",
            "fec0::1",
            // Link-local, and metadata services.
            "169.254.1.1",
            "169.254.169.254",
            "169.254.0.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fe80::1",
            "fd00:ec2::254",
            // IPv4 within IPv6: mapped, compatible, NAT64 well-known and local, 6to4, Teredo.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:53aa:64c::1",
            // Multicast, broadcast, benchmarks, documentation, future.
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "4000::1",
        ] {
            assert!(is_forbidden(address, &[]), "{address}");
        }
    }

    #[test]
    fn an_operator_may_allow_more() {
        let allowed = ["10.1.0.0/16", "127.0.0.1", "fd00:1::/32"];
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "fd00:1::9"] {
            assert!(!is_forbidden(address, &allowed), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.2", "fd00:2::9", "::ffff:10.2.0.1"] {
            assert!(is_forbidden(address, &allowed), "{address}");
        }
    }
}
