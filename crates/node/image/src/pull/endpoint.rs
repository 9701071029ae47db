//! Where a registry is and how it is spoken to: pure. Must not know what is asked of it.

use std::net::IpAddr;

use crate::Config;

/// Scheme and host of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `https://registry-1.docker.io`, without a slash at its end.
    pub base: String,
    /// Whether TLS is not used.
    pub plain: bool,
    /// Whether it is on this machine, where no proxy belongs in between.
    pub loopback: bool,
}

impl Endpoint {
    pub(super) fn new(registry: &str, config: &Config) -> Self {
        // Docker Hub's images have another host than its name.
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let loopback = is_loopback(registry);
        let plain = loopback || config.insecure_registries.iter().any(|insecure| insecure == registry);
        let scheme = if plain { "http" } else { "https" };
        Self { base: format!("{scheme}://{host}"), plain, loopback }
    }
}

/// Whether a `host[:port]` is this machine.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_insecure_registries_are_plain() {
        let config = Config { insecure_registries: vec!["lab:5000".into()], ..Config::default() };
        let base = |registry: &str| Endpoint::new(registry, &config).base;
        assert_eq!(base("docker.io"), "https://registry-1.docker.io");
        assert_eq!(base("ghcr.io"), "https://ghcr.io");
        assert_eq!(base("lab:5000"), "http://lab:5000");
        assert_eq!(base("lab"), "https://lab");
        for loopback in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"] {
            assert_eq!(base(loopback), format!("http://{loopback}"));
        }
        for other in ["localhost.example.com", "127.0.0.1.nip.io", "[::2]:1", "10.0.0.1:5000"] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
