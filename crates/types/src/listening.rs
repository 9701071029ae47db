//! Addresses for clients: a connectable one for a listener on all addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of a listener for clients on this machine: loopback for `0.0.0.0` and `[::]`, which
/// are not connectable.
pub fn callable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listening.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listening.port()).into(),
        _ => listening,
    }
}

/// The address for a client with the `Host` header `host`: for a listener on all addresses its own
/// name of this machine.
pub fn callable_by(listening: SocketAddr, host: Option<&str>) -> String {
    let name = host.map(without_port).filter(|name| !name.is_empty() && listening.ip().is_unspecified());
    match name {
        Some(name) => format!("{name}:{}", listening.port()),
        None => callable(listening).to_string(),
    }
}

/// `example.com` of `example.com:7070`, `[::1]` of `[::1]:7070`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_replaced_by_loopback() {
        for (listening, host, called) in [
            ("127.0.0.1:7080", Some("10.0.0.5:7070"), "127.0.0.1:7080"),
            ("10.0.0.5:7080", Some("localhost:7070"), "10.0.0.5:7080"),
            ("0.0.0.0:7080", None, "127.0.0.1:7080"),
            ("[::]:7080", None, "[::1]:7080"),
            ("0.0.0.0:7080", Some("10.0.0.5:7070"), "10.0.0.5:7080"),
            ("[::]:7080", Some("[fd00::5]:7070"), "[fd00::5]:7080"),
            ("[::]:7080", Some("sampan.example"), "sampan.example:7080"),
            ("0.0.0.0:7080", Some(""), "127.0.0.1:7080"),
        ] {
            let listening: SocketAddr = listening.parse().expect("an address");
            assert_eq!(callable_by(listening, host), called);
        }
    }
}
