//! The hosts that a URL may have. Pure.

use crate::error::Error;

/// A list of hosts and of domains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    exact: Vec<String>,
    /// `.example.com`: all subdomains.
    below: Vec<String>,
}

impl Hosts {
    /// Reads `hosts_allowed`.
    pub(crate) fn new(listed: &[String]) -> Result<Self, Error> {
        let mut hosts = Self::default();
        for text in listed {
            let host = text.to_ascii_lowercase();
            let bare = host.strip_prefix("*.").unwrap_or(&host);
            // A colon belongs to an IPv6 address in brackets.
            let is_host = !bare.is_empty() && !bare.contains(['/', '*', '@', ' ']);
            if !is_host || (bare.contains(':') && !bare.starts_with('[')) {
                let why = format!("{text:?} is not a host; write hooks.example.com or *.example.com, without a port");
                return Err(Error::Setting { key: "outbound.hosts_allowed".to_owned(), why });
            }
            match host.strip_prefix('*') {
                Some(below) => hosts.below.push(below.to_owned()),
                None => hosts.exact.push(host),
            }
        }
        Ok(hosts)
    }

    /// Whether a host, as in a parsed URL, is allowed.
    pub(crate) fn contains(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.exact.iter().any(|listed| listed == host)
            || self.below.iter().any(|domain| host.len() > domain.len() && host.ends_with(domain.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_listed_alone_or_by_their_domain() {
        let listed = ["Hooks.example.com", "*.example.org", "10.0.0.1", "[fd00::1]"].map(str::to_owned);
        let hosts = Hosts::new(&listed).unwrap();
        for host in
            ["hooks.example.com", "hooks.example.com.", "a.example.org", "a.b.example.org", "10.0.0.1", "[fd00::1]"]
        {
            assert!(hosts.contains(host), "{host}");
        }
        for host in ["example.com", "a.hooks.example.com", "example.org", "badexample.org", ".example.org", "10.0.0.2"]
        {
            assert!(!hosts.contains(host), "{host}");
        }
        assert!(!Hosts::default().contains("example.com"), "nothing is allowed unless it is listed");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["", "*", "*.", "https://a", "a:80", "a*b", "a/b", "a b"] {
            assert!(Hosts::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
