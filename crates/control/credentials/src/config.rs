//! Limits of this crate, with units in their names, and a registry's settings in the configuration
//! file.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Table `[credentials]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Credential plugins, in the format of the kubelet's `--image-credential-provider-config`: a
    /// file of kind `CredentialProviderConfig` (YAML or JSON), or a folder of them. Read at the
    /// start.
    pub plugins_config: Option<PathBuf>,
    /// Folder of the plugins' programs, as the kubelet's `--image-credential-provider-bin-dir`.
    pub plugins_dir: Option<PathBuf>,
    /// Timeout of a plugin, in seconds.
    pub plugin_timeout_s: u64,
    /// Longest answer of a plugin, in bytes.
    pub plugin_answer_bytes_max: u64,
    /// Bytes of a failed plugin's standard error that are shown in the error.
    pub plugin_stderr_bytes_max: u64,
    /// Timeout of a `docker-credential-*` helper, in seconds.
    pub docker_helper_timeout_s: u64,
    /// Endpoint of the cloud API for temporary credentials, unless a login names another.
    pub tcr_endpoint: String,
    /// Region of enterprise registries, unless a login names another.
    pub tcr_region: String,
    /// Timeout of a request for a temporary credential, in seconds.
    pub tcr_timeout_s: u64,
    /// Longest answer to such a request, in bytes.
    pub tcr_answer_bytes_max: usize,
    /// Cached credentials are renewed this long before they expire, in seconds.
    pub expiry_margin_s: u64,
    /// Cached answers of each provider.
    pub cached_max: usize,
    /// Most registries that can be added.
    pub registries_max: usize,
    /// Most mirrors of one registry.
    pub mirrors_max: usize,
    /// Longest certificate authorities of a registry, in bytes.
    pub ca_bytes_max: usize,
    /// Longest user name, password or key, in bytes.
    pub secret_bytes_max: usize,
    /// Longest body of an administrative request, in bytes.
    pub admin_body_bytes_max: usize,
    /// Timeout of receiving such a body, in seconds.
    pub admin_body_timeout_s: u64,
    /// Timeout of a test of a registry, in seconds.
    pub test_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugins_config: None,
            plugins_dir: None,
            plugin_timeout_s: 60,
            plugin_answer_bytes_max: 1 << 20,
            plugin_stderr_bytes_max: 1000,
            docker_helper_timeout_s: 10,
            tcr_endpoint: "https://tcr.tencentcloudapi.com".to_owned(),
            tcr_region: "ap-guangzhou".to_owned(),
            tcr_timeout_s: 15,
            tcr_answer_bytes_max: 64 << 10,
            expiry_margin_s: 30,
            cached_max: 1000,
            registries_max: 1000,
            mirrors_max: 16,
            ca_bytes_max: 256 << 10,
            secret_bytes_max: 16 << 10,
            admin_body_bytes_max: 1 << 20,
            admin_body_timeout_s: 30,
            test_timeout_s: 120,
        }
    }
}

impl Config {
    pub(crate) fn plugin_timeout(&self) -> Duration {
        Duration::from_secs(self.plugin_timeout_s)
    }

    pub(crate) fn docker_helper_timeout(&self) -> Duration {
        Duration::from_secs(self.docker_helper_timeout_s)
    }

    pub(crate) fn tcr_timeout(&self) -> Duration {
        Duration::from_secs(self.tcr_timeout_s)
    }

    pub(crate) fn expiry_margin(&self) -> Duration {
        Duration::from_secs(self.expiry_margin_s)
    }

    pub(crate) fn test_timeout(&self) -> Duration {
        Duration::from_secs(self.test_timeout_s)
    }
}

/// Table `[registries."HOST"]` of the configuration. What `sampan registry add` sets for the same
/// host outranks it, key by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrySettings {
    /// Tried in this order before the registry itself: `https://HOST[:PORT][/PREFIX]`, or
    /// `http://…` for a mirror without TLS.
    pub mirrors: Vec<String>,
    /// PEM file of certificate authorities trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether to use plain HTTP. Default: only on a loopback address without a `ca_file`.
    pub plain_http: Option<bool>,
}
