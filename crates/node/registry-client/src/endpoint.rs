//! Address and protocol of a registry.

use std::net::IpAddr;
use std::sync::Arc;

use crate::Config;
use crate::host_config::{HostConfig, Mirror};

/// Scheme and host of a registry or a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://registry-1.docker.io`, without a slash at its end.
    pub base: String,
    /// Whether TLS is not used.
    pub plain: bool,
    /// Whether it is reached without a proxy, as hosts on this machine are.
    pub loopback: bool,
    /// Certificate authorities trusted for it, in addition to the system's.
    pub ca_pem: Option<Arc<str>>,
}

impl Endpoint {
    pub(crate) fn of_registry(registry: &str, host_config: &HostConfig, config: &Config) -> Self {
        // The registry of docker.io has another host name.
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let usual = || {
            let named = config.insecure_registries.iter().any(|insecure| insecure == registry);
            named || (is_loopback(registry) && host_config.ca_pem.is_none())
        };
        Self::new(host, host_config.plain_http.unwrap_or_else(usual), host_config)
    }

    /// A mirror's URL has its scheme; `host_config` is that of its host.
    pub(crate) fn of_mirror(mirror: &Mirror, host_config: &HostConfig) -> Self {
        Self::new(&mirror.host, mirror.plain_http, host_config)
    }

    fn new(host: &str, plain: bool, host_config: &HostConfig) -> Self {
        let scheme = if plain { "http" } else { "https" };
        let base = format!("{scheme}://{host}");
        Self { base, plain, loopback: is_loopback(host), ca_pem: host_config.ca_pem.clone() }
    }
}

/// Whether a `host[:port]` is on this machine.
pub(crate) fn is_loopback(registry: &str) -> bool {
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
        let base = |registry: &str| Endpoint::of_registry(registry, &HostConfig::default(), &config).base;
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
        let base = |registry: &str, host_config: HostConfig| {
            Endpoint::of_registry(registry, &host_config, &Config::default()).base
        };
        let plain_http = |plain_http| HostConfig { plain_http: Some(plain_http), ..HostConfig::default() };
        assert_eq!(base("lab", plain_http(true)), "http://lab");
        assert_eq!(base("localhost:5000", plain_http(false)), "https://localhost:5000");
        let certified = || HostConfig { ca_pem: Some("PEM".into()), ..HostConfig::default() };
        assert_eq!(base("localhost:5000", certified()), "https://localhost:5000");
        assert_eq!(
            base("localhost:5000", HostConfig { plain_http: Some(true), ..certified() }),
            "http://localhost:5000"
        );
        let mirror = "http://lab:5000/hub".parse().expect("valid");
        assert_eq!(Endpoint::of_mirror(&mirror, &plain_http(false)).base, "http://lab:5000");
    }
}
