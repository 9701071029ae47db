//! Every limit of this crate, with its unit in the name, and what a configuration file can say of a registry. Must not
//! know what is done when a limit is reached.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Table `[credentials]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Configuration of credential plugins as the kubelet's `--image-credential-provider-config` reads it: a file of kind
    /// `CredentialProviderConfig` (YAML or JSON), or a folder of them. Read at the start.
    pub plugins_config: Option<PathBuf>,
    /// Folder of the plugins, the kubelet's `--image-credential-provider-bin-dir`.
    pub plugins_dir: Option<PathBuf>,
    /// Longest run of a plugin, in seconds.
    pub plugin_timeout_s: u64,
    /// Bytes of a plugin's answer.
    pub plugin_answer_bytes_max: u64,
    /// Bytes of a failed plugin's standard error that are shown.
    pub plugin_stderr_bytes_max: u64,
    /// Longest run of a `docker-credential-*` helper, in seconds.
    pub docker_helper_timeout_s: u64,
    /// Where temporary credentials of enterprise registries are asked for, unless a login says otherwise.
    pub tcr_endpoint: String,
    /// Region of enterprise registries, unless a login says otherwise.
    pub tcr_region: String,
    /// Longest wait for such a credential, in seconds.
    pub tcr_timeout_s: u64,
    /// Bytes of the answer with such a credential.
    pub tcr_answer_bytes_max: usize,
    /// A remembered credential is no longer given out in the last seconds of its life.
    pub expiry_margin_s: u64,
    /// Answers of one provider that are remembered.
    pub cached_max: usize,
    /// Registries that can be added.
    pub registries_max: usize,
    /// Mirrors of one registry.
    pub mirrors_max: usize,
    /// Bytes of a registry's certificate authorities.
    pub ca_bytes_max: usize,
    /// Bytes of a user's name, a password or a key.
    pub secret_bytes_max: usize,
    /// Bytes of the body of an administrative request.
    pub admin_body_bytes_max: usize,
    /// Time within which such a body must have arrived, in seconds.
    pub admin_body_timeout_s: u64,
    /// Longest test of a registry, in seconds.
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

    pub(crate) fn admin_body_timeout(&self) -> Duration {
        Duration::from_secs(self.admin_body_timeout_s)
    }

    pub(crate) fn test_timeout(&self) -> Duration {
        Duration::from_secs(self.test_timeout_s)
    }
}

/// Table `[registries."HOST"]` of the configuration. What `sampan registry add` sets for the same host outranks it, key
/// by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrySettings {
    /// Asked in this order before the registry itself: `https://HOST[:PORT][/PREFIX]`, or `http://…` for one without TLS.
    pub mirrors: Vec<String>,
    /// PEM file of certificate authorities that are trusted for it, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether it is spoken to in plain HTTP. Left out: only on a loopback address, and there only without a `ca_file`.
    pub plain_http: Option<bool>,
}
