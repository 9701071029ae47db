//! A credential plugin of the kubelet's protocol: a shell script and its configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// Name of the plugin.
pub const NAME: &str = "test-credential-provider";

/// A plugin in a folder.
pub struct CredentialPlugin {
    folder: PathBuf,
}

impl CredentialPlugin {
    /// Creates a plugin for the images of a registry; its responses are cacheable per registry for
    /// an hour.
    pub fn make(folder: &Path, registry: &str) -> anyhow::Result<Self> {
        let plugin = Self { folder: folder.to_owned() };
        let state = folder.display();
        let script = format!(
            r#"#!/bin/sh
cat > {state}/request
echo "$1 $PLUGIN_MODE" >> {state}/runs
if [ -e {state}/broken ]; then cat {state}/broken >&2; exit 1; fi
cat <<END
{{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
  "cacheKeyType": "Registry", "cacheDuration": "1h0m0s",
  "auth": {{"{registry}": {{"username": "plugin", "password": "$(cat {state}/password)"}}}}}}
END
"#
        );
        fs::create_dir_all(plugin.bin_dir())?;
        let program = plugin.bin_dir().join(NAME);
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let config = format!(
            "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n  - name: {NAME}\n    \
             matchImages:\n      - \"127.0.*.1:{port}\"\n    defaultCacheDuration: \"12h\"\n    \
             apiVersion: credentialprovider.kubelet.k8s.io/v1\n    args:\n      - get-credentials\n    env:\n      \
             - name: PLUGIN_MODE\n        value: test\n",
            port = registry.rsplit(':').next().unwrap_or_default(),
        );
        fs::write(plugin.config(), config)?;
        Ok(plugin)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("plugins.yaml")
    }

    /// The folder with the program.
    pub fn bin_dir(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Sets the password of further responses.
    pub fn set_password(&self, password: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.join("password"), password)?)
    }

    /// Makes further runs fail with this error message.
    pub fn break_with(&self, words: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.join("broken"), words)?)
    }

    /// Arguments and environment of every run so far.
    pub fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The last request.
    pub fn request(&self) -> anyhow::Result<Value> {
        let text = fs::read_to_string(self.folder.join("request")).context("the plugin was not run")?;
        Ok(serde_json::from_str(&text)?)
    }
}
