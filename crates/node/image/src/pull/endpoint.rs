//! Where a registry is and how it is spoken to: pure. Must not know what is asked of it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::Config;
use crate::credentials::{Mirror, Reach};

/// Scheme and host of a registry or a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `https://registry-1.docker.io`, without a slash at its end.
    pub base: String,
    /// Whether TLS is not used.
    pub plain: bool,
    /// Whether it is on this machine, where no proxy belongs in between.
    pub loopback: bool,
    /// Authorities that it may be certified by, beside the system's.
    pub ca_pem: Option<Arc<str>>,
}

impl Endpoint {
    pub(super) fn of_registry(registry: &str, reach: &Reach, config: &Config) -> Self {
        // Docker Hub's images have another host than its name.
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let usual = || {
            let named = config.insecure_registries.iter().any(|insecure| insecure == registry);
            named || (is_loopback(registry) && reach.ca_pem.is_none())
        };
        Self::new(host, reach.plain_http.unwrap_or_else(usual), reach)
    }

    /// A mirror says itself whether it is spoken to in plain HTTP; `reach` is that of its host.
    pub(super) fn of_mirror(mirror: &Mirror, reach: &Reach) -> Self {
        Self::new(&mirror.host, mirror.plain_http, reach)
    }

    fn new(host: &str, plain: bool, reach: &Reach) -> Self {
        let scheme = if plain { "http" } else { "https" };
        let base = format!("{scheme}://{host}");
        Self { base, plain, loopback: is_loopback(host), ca_pem: reach.ca_pem.clone() }
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
        let base = |registry: &str| Endpoint::of_registry(registry, &Reach::default(), &config).base;
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

    #[test]
    fn what_is_set_for_a_registry_outranks_what_is_usual() {
        let base = |registry: &str, reach: Reach| Endpoint::of_registry(registry, &reach, &Config::default()).base;
        let plain_http = |plain_http| Reach { plain_http: Some(plain_http), ..Reach::default() };
        assert_eq!(base("lab", plain_http(true)), "http://lab");
        assert_eq!(base("localhost:5000", plain_http(false)), "https://localhost:5000");
        let certified = || Reach { ca_pem: Some("PEM".into()), ..Reach::default() };
        assert_eq!(base("localhost:5000", certified()), "https://localhost:5000");
        assert_eq!(base("localhost:5000", Reach { plain_http: Some(true), ..certified() }), "http://localhost:5000");
        let mirror = "http://lab:5000/hub".parse().expect("valid");
        assert_eq!(Endpoint::of_mirror(&mirror, &plain_http(false)).base, "http://lab:5000");
    }
}
