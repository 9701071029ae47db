//! Configuration of plugins: `CredentialProviderConfig` of `kubelet.config.k8s.io`, with the
//! kubelet's checks.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::protocol::API_VERSIONS;
use super::{duration, matching};

/// API group of the configuration; `v1`, `v1beta1` and `v1alpha1` are equal in every part used
/// here.
const GROUP: &str = "kubelet.config.k8s.io/";
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why the configuration of plugins is unusable.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// `plugins_config` is set without `plugins_dir`.
    #[error("plugins_config is set, but plugins_dir of [credentials] is not")]
    NoFolder,
    /// Reading a file or folder failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The file is not a valid configuration.
    #[error("{} is not a CredentialProviderConfig: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// A provider's settings are invalid.
    #[error("provider {provider:?}: {reason}")]
    Provider {
        /// Its name.
        provider: String,
        /// The problem.
        reason: String,
    },
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Provider {
    pub name: String,
    pub program: PathBuf,
    pub match_images: Vec<String>,
    pub default_cache_duration: Duration,
    pub api_version: String,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
}

/// A variable of a plugin's environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    kind: String,
    api_version: String,
    #[serde(default)]
    providers: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    match_images: Vec<String>,
    default_cache_duration: Option<String>,
    #[serde(default)]
    api_version: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    token_attributes: Option<IgnoredAny>,
}

impl Provider {
    pub(super) fn knows(&self, image: &str) -> bool {
        self.match_images.iter().any(|pattern| matching::matches(pattern, image))
    }
}

/// Reads a file, or the files of a folder that end in `.json`, `.yaml` or `.yml`, in order of their
/// names.
pub(super) fn load(path: &Path, bin_dir: &Path) -> Result<Vec<Provider>, PluginsError> {
    let mut providers: Vec<Provider> = Vec::new();
    let mut names = HashSet::new();
    for file in files(path)? {
        for raw in parse(&file)?.providers {
            let provider = check(raw, bin_dir)?;
            if !names.insert(provider.name.clone()) {
                return Err(wrong(&provider.name, "another provider has that name"));
            }
            providers.push(provider);
        }
    }
    if providers.is_empty() {
        return Err(PluginsError::Malformed { path: path.to_owned(), reason: "it has no providers".to_owned() });
    }
    Ok(providers)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, PluginsError> {
    let failed = |source| PluginsError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let wanted = |file: &PathBuf| {
        let ending = file.extension().and_then(|ending| ending.to_str());
        file.is_file() && ending.is_some_and(|ending| matches!(ending, "json" | "yaml" | "yml"))
    };
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(wanted).collect();
    files.sort();
    Ok(files)
}

fn parse(path: &Path) -> Result<Document, PluginsError> {
    let failed = |source| PluginsError::Read { path: path.to_owned(), source };
    let malformed = |reason: String| PluginsError::Malformed { path: path.to_owned(), reason };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(malformed("it is too long".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let document: Document = serde_saphyr::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if document.kind != "CredentialProviderConfig" {
        return Err(malformed(format!("its kind is {:?}", document.kind)));
    }
    match document.api_version.strip_prefix(GROUP) {
        Some("v1" | "v1beta1" | "v1alpha1") => Ok(document),
        _ => Err(malformed(format!("its apiVersion is {:?}, not {GROUP}v1", document.api_version))),
    }
}

fn wrong(provider: &str, reason: impl Into<String>) -> PluginsError {
    PluginsError::Provider { provider: provider.to_owned(), reason: reason.into() }
}

fn check(raw: Raw, bin_dir: &Path) -> Result<Provider, PluginsError> {
    let wrong = |reason: String| wrong(&raw.name, reason);
    if raw.name.is_empty() || raw.name.contains(['/', ' ']) || matches!(raw.name.as_str(), "." | "..") {
        return Err(wrong("its name is not a file name".to_owned()));
    }
    if raw.token_attributes.is_some() {
        return Err(wrong(
            "tokenAttributes asks for tokens of Kubernetes service accounts, which do not exist here; leave it \
             out and let the plugin use the machine's identity"
                .to_owned(),
        ));
    }
    if !API_VERSIONS.contains(&raw.api_version.as_str()) {
        return Err(wrong(format!("its apiVersion is {:?}, not one of {}", raw.api_version, API_VERSIONS.join(", "))));
    }
    if raw.match_images.is_empty() {
        return Err(wrong("matchImages is empty".to_owned()));
    }
    if let Some(pattern) = raw.match_images.iter().find(|pattern| !matching::is_pattern(pattern)) {
        return Err(wrong(format!("{pattern:?} of matchImages is not a host with an optional port and path")));
    }
    let life = raw.default_cache_duration.as_deref().and_then(duration::parse);
    let life = life.ok_or_else(|| wrong("defaultCacheDuration is not a duration such as 12h, or 0s".to_owned()))?;
    let program = bin_dir.join(&raw.name);
    let executable =
        fs::metadata(&program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if !executable {
        return Err(wrong(format!("there is no program {}", program.display())));
    }
    Ok(Provider {
        program,
        match_images: raw.match_images,
        default_cache_duration: life,
        api_version: raw.api_version,
        args: raw.args.unwrap_or_default(),
        env: raw.env.unwrap_or_default(),
        name: raw.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Kubernetes documentation.
    const GOOD: &str = r#"
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: ecr-credential-provider
    matchImages:
      - "*.dkr.ecr.*.amazonaws.com"
      - "*.dkr.ecr.*.amazonaws.com.cn"
      - registry.io:8080/path
    defaultCacheDuration: "12h"
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args:
      - get-credentials
    env:
      - name: AWS_PROFILE
        value: example_profile
"#;

    fn loaded(text: &str) -> Result<Vec<Provider>, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("ecr-credential-provider");
        fs::write(&program, "#!/bin/sh\n").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        let file = dir.path().join("config.yaml");
        fs::write(&file, text).expect("written");
        load(&file, dir.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_kubelets_configuration_is_accepted_unchanged() {
        let providers = loaded(GOOD).expect("valid");
        let [provider] = &providers[..] else { panic!("one provider: {providers:?}") };
        assert_eq!(provider.default_cache_duration, Duration::from_secs(12 * 3600));
        assert_eq!(
            (provider.args.join(" "), provider.env[0].value.as_str()),
            ("get-credentials".into(), "example_profile")
        );
        assert!(provider.knows("1.dkr.ecr.eu-west-1.amazonaws.com/app") && provider.knows("registry.io:8080/path/app"));
        assert!(!provider.knows("registry.io/path/app"));
        for version in ["v1beta1", "v1alpha1"] {
            assert!(loaded(&GOOD.replace("k8s.io/v1", &format!("k8s.io/{version}"))).is_ok(), "{version}");
        }
    }

    #[test]
    fn an_invalid_setting_is_named_in_the_error() {
        let tokens = "    tokenAttributes:\n      serviceAccountTokenAudience: x\n      requireServiceAccount: true\n";
        for (text, word) in [
            (GOOD.replace("CredentialProviderConfig", "Other"), "kind"),
            (GOOD.replace("kubelet.config.k8s.io/v1", "kubelet.config.k8s.io/v9"), "apiVersion"),
            (GOOD.replace("credentialprovider.kubelet.k8s.io/v1", "v1"), "apiVersion"),
            (GOOD.replace("\"12h\"", "soon"), "defaultCacheDuration"),
            (GOOD.replace("ecr-credential-provider", "gcr-credential-provider"), "no program"),
            (GOOD.replace("ecr-credential-provider", "../ecr"), "name"),
            (GOOD.replace("registry.io:8080/path", "https://registry.io"), "matchImages"),
            (format!("{GOOD}{tokens}"), "tokenAttributes"),
            (GOOD.replace("    args:", "    arguments:"), "arguments"),
            ("{".to_owned(), "CredentialProviderConfig"),
            ("kind: CredentialProviderConfig\napiVersion: kubelet.config.k8s.io/v1\n".to_owned(), "no providers"),
        ] {
            let error = loaded(&text).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_folder_is_read_in_name_order_and_names_are_unique() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["b", "a"] {
            let program = dir.path().join(name);
            fs::write(&program, "").expect("written");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
            let text = GOOD.replace("ecr-credential-provider", name);
            fs::write(dir.path().join(format!("{name}.yml")), text).expect("written");
        }
        let names: Vec<_> = load(dir.path(), dir.path()).expect("valid").into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["a", "b"]);
        fs::write(dir.path().join("c.yaml"), GOOD.replace("ecr-credential-provider", "a")).expect("written");
        assert!(load(dir.path(), dir.path()).expect_err("twice").to_string().contains("another"));
    }
}
