//! Addresses as clients call them: where a listener takes every address of the machine, one that can be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address to call a listener by from this machine: the loopback for `0.0.0.0` and `[::]`, which are no addresses of
/// anybody.
pub fn callable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listening.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listening.port()).into(),
        _ => listening,
    }
}

/// The same for a client that came by `host`, a `Host` header: where a listener takes every address, that name of this
/// machine reaches it too.
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
    fn an_unspecified_address_is_never_one_to_call() {
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
