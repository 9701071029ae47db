//! Hosts in the settings: those that no request can have are refused at start.

use formats::object::may_confirm;

use crate::config::Config;

/// Longest label of a host name (RFC 1035 section 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// A host of the settings that has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {text:?} {why}")]
pub struct InvalidHost {
    key: &'static str,
    text: String,
    why: &'static str,
}

impl Config {
    /// Refuses hosts that no request can have.
    ///
    /// # Errors
    /// The first invalid host.
    pub fn check_hosts(&self) -> Result<(), InvalidHost> {
        let invalid = |key, text: &String, why| Err(InvalidHost { key, text: text.clone(), why });
        if let Some(text) = self.domains.iter().find(|text| !is_domain(&bare_domain(text))) {
            return invalid("gateway.domains", text, "is not a domain; write fn.example.com, without a port");
        }
        if let Some(text) = self.hook_confirm_hosts.iter().find(|text| !is_confirm_host(text)) {
            let why = "is not a host; write sns.eu-central-1.amazonaws.com, or http://HOST for plain HTTP";
            return invalid("gateway.hook_confirm_hosts", text, why);
        }
        Ok(())
    }
}

/// A domain of `gateway.domains` in lower case, without `*.` or a dot in front.
pub fn bare_domain(text: &str) -> String {
    text.trim_start_matches(['*', '.']).trim_end_matches('.').to_ascii_lowercase()
}

fn is_domain(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.len() <= types::limits::HOST_LEN_MAX
        && name.split('.').all(|label| (1..=LABEL_LEN_MAX).contains(&label.len()) && label.chars().all(inside))
}

/// Whether some URL has this host: at least its own.
fn is_confirm_host(text: &String) -> bool {
    let (scheme, host) = match text.strip_prefix("http://") {
        Some(host) => ("http", host),
        None => ("https", text.trim_start_matches("https://")),
    };
    let inside = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    host.chars().all(inside) && may_confirm(&format!("{scheme}://{host}/"), std::slice::from_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_no_request_has_are_refused_by_name() {
        let check = |domains: &[&str], confirm: &[&str]| {
            let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let config = Config { domains: list(domains), hook_confirm_hosts: list(confirm), ..Config::default() };
            config.check_hosts().map_err(|error| error.to_string())
        };
        assert_eq!(Config::default().check_hosts(), Ok(()));
        assert_eq!(check(&[], &[]), Ok(()));
        let confirm = ["sns.eu-central-1.amazonaws.com", "http://127.0.0.1:4566", "https://a.example.com", "[::1]:99"];
        assert_eq!(check(&["fn.example.com", "*.f.example.com", ".localhost", "Fn.Example.com."], &confirm), Ok(()));
        for bad in ["", "*", "*.", "a b", "a..b", "fn.example.com:7080", "http://fn.example.com", "é.com"] {
            let said = check(&[bad], &[]).expect_err(bad);
            assert!(said.starts_with(&format!("gateway.domains: {bad:?} is not a domain")), "{said}");
        }
        for bad in ["", "http://a b", "*.amazonaws.com", "sns.example.com/x", "sns.example.com:443", "u@a", "ftp://a"] {
            let said = check(&[], &[bad]).expect_err(bad);
            assert!(said.starts_with(&format!("gateway.hook_confirm_hosts: {bad:?} is not a host")), "{said}");
        }
    }
}
