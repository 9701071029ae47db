//! Host comparison for registries and control addresses: loopback and equality.

/// Whether a registry is on a loopback address, which implies plain HTTP (as in docker).
pub fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether two hosts are the same control address: `localhost` equals any loopback address.
pub fn same_place(own: &str, other: &str) -> bool {
    let port = |host: &str| host.rsplit_once(':').map(|(_, port)| port.to_owned());
    own == other || (is_loopback(own) && is_loopback(other) && port(own) == port(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_plain_http() {
        assert!(is_loopback("127.0.0.1:5000") && is_loopback("localhost") && is_loopback("[::1]:5000"));
        assert!(!is_loopback("registry.example.com") && !is_loopback("10.0.0.1:5000"));
    }

    #[test]
    fn localhost_is_the_same_place_as_a_loopback_address() {
        assert!(same_place("127.0.0.1:7070", "localhost:7070"));
        assert!(!same_place("127.0.0.1:7070", "localhost:5000"));
        assert!(!same_place("127.0.0.1:7070", "registry.example.com"));
    }
}
