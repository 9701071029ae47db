//! Settings: the allowed hosts, and named endpoints with their credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;

use registry_client::AddressRange;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// `[outbound]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hosts that a caller's URL may have: `hooks.example.com`, or `*.example.com` for all
    /// subdomains.
    pub hosts_allowed: Vec<String>,
    /// Addresses that may be connected to besides public ones, such as `10.1.0.0/16`.
    pub addresses_allowed: Vec<AddressRange>,
    /// Connect timeout.
    pub connect_timeout_s: u64,
    /// Timeout of a whole request.
    pub timeout_s: u64,
    /// Bytes of a response that are read.
    pub response_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hosts_allowed: Vec::new(),
            addresses_allowed: Vec::new(),
            connect_timeout_s: 10,
            timeout_s: 30,
            response_bytes_max: 16 << 10,
        }
    }
}

/// `[connections.NAME]` of kind `http`: an endpoint that owners of functions use by name, without
/// its credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// The URL of requests.
    pub url: String,
    /// Headers of the requests; not for secrets, which `sampan config` would show.
    pub headers: BTreeMap<String, String>,
    /// File with a bearer token, read for each request.
    pub bearer_file: Option<PathBuf>,
    /// Environment variable with a bearer token.
    pub bearer_env: Option<String>,
}

/// Longest timeout that can be set.
const TIMEOUT_S_MAX: u64 = 900;
/// Largest `response_bytes_max` that can be set.
const RESPONSE_BYTES_MAX: u64 = 16 << 20;

impl Config {
    /// Refuses values with which no request could be sent.
    ///
    /// # Errors
    /// The first invalid key, and its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let bounds = [
            ("outbound.connect_timeout_s", self.connect_timeout_s, TIMEOUT_S_MAX),
            ("outbound.timeout_s", self.timeout_s, TIMEOUT_S_MAX),
            ("outbound.response_bytes_max", self.response_bytes_max as u64, RESPONSE_BYTES_MAX),
        ];
        match bounds.into_iter().find(|(_, value, max)| !(1..=*max).contains(value)) {
            Some((key, value, max)) => {
                let why = format!("{value} is not allowed; use 1 to {max}");
                Err(Error::Setting { key: key.to_owned(), why })
            }
            None => Ok(()),
        }
    }
}
