//! An image's config: its run configuration and the diff ids of its layers (OCI image specification
//! 1.1, config.md).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use types::Digest;

use crate::{Error, Platform, processor_level};

/// Run configuration of an image's config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// `user[:group]`, names or numbers; empty for root.
    pub user: String,
    /// Working directory; `/` when empty.
    pub working_dir: String,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// VOLUME: directories for data.
    pub volumes: Vec<String>,
    /// STOPSIGNAL: a name or a number; empty for SIGTERM.
    pub stop_signal: String,
}

/// The parts of an image's config that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Run configuration.
    pub run: RunConfig,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct ConfigFields {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<RunFields>,
    rootfs: RootfsFields,
}

#[derive(Deserialize)]
struct RootfsFields {
    // Docker writes `null` for an image without layers.
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunFields {
    user: Option<String>,
    working_dir: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    // A set, written as an object with empty values.
    volumes: Option<BTreeMap<String, IgnoredAny>>,
    stop_signal: Option<String>,
}

/// A list of words, or one word as some tools write it; docker reads both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Several(words) => words,
        }
    }
}

impl ImageConfig {
    /// Parses an image's config, whose manifest has `layers` layers.
    ///
    /// # Errors
    /// `Invalid`, `Platform`.
    pub fn read(bytes: &[u8], layers: usize) -> Result<Self, Error> {
        let fields: ConfigFields = serde_json::from_slice(bytes).map_err(|e| Error::config(e.to_string()))?;
        let platform = fields.platform.or_default();
        if !platform.fits(processor_level()) {
            return Err(Error::Platform { has: vec![platform.name()] });
        }
        let diff_ids = fields.rootfs.diff_ids.unwrap_or_default();
        if diff_ids.len() != layers {
            let reason = format!("it lists {} layers, the manifest {layers}", diff_ids.len());
            return Err(Error::config(reason));
        }
        let run = fields.config.unwrap_or_default();
        let run = RunConfig {
            user: run.user.unwrap_or_default(),
            working_dir: run.working_dir.unwrap_or_default(),
            env: run.env.unwrap_or_default(),
            // `ENTRYPOINT [""]` in a Dockerfile takes an entry point of the base away.
            entrypoint: run.entrypoint.map(Words::into_list).filter(|words| *words != [""]).unwrap_or_default(),
            cmd: run.cmd.map(Words::into_list).unwrap_or_default(),
            volumes: run.volumes.unwrap_or_default().into_keys().collect(),
            stop_signal: run.stop_signal.unwrap_or_default(),
        };
        let texts = [&run.user, &run.working_dir].into_iter().chain(&run.env).chain(&run.entrypoint).chain(&run.cmd);
        if texts.chain(&run.volumes).any(|text| text.contains('\0')) {
            return Err(Error::config("a text for the process has a NUL byte"));
        }
        Ok(Self { run, diff_ids })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(fill: char) -> String {
        format!("sha256:{}", fill.to_string().repeat(64))
    }

    #[test]
    fn a_config_gives_what_to_run_and_must_fit_the_manifest() {
        let bytes = json!({"os": "linux", "architecture": "amd64",
            "config": {"User": "1000", "Env": ["A=b"], "Entrypoint": null, "Cmd": ["/hello"], "StopSignal": "SIGQUIT",
                "Volumes": {"/data": {}, "/cache": null}},
            "rootfs": {"type": "layers", "diff_ids": [digest('d')]}})
        .to_string();
        let config = ImageConfig::read(bytes.as_bytes(), 1).expect("valid");
        assert_eq!((config.run.user.as_str(), config.run.cmd.as_slice()), ("1000", &["/hello".to_owned()][..]));
        assert_eq!(config.run.volumes, ["/cache", "/data"]);
        assert_eq!(config.run.stop_signal, "SIGQUIT");
        assert!(matches!(ImageConfig::read(bytes.as_bytes(), 2), Err(Error::Invalid { .. })));
        let arm = bytes.replace("amd64", "arm64");
        assert_eq!(ImageConfig::read(arm.as_bytes(), 1), Err(Error::Platform { has: vec!["linux/arm64".into()] }));
        let one = bytes.replace(r#"["/hello"]"#, r#""/hello""#);
        assert_eq!(ImageConfig::read(one.as_bytes(), 1).expect("valid").run, config.run);
        let reset = bytes.replace(r#""Entrypoint":null"#, r#""Entrypoint":[""]"#);
        assert_eq!(ImageConfig::read(reset.as_bytes(), 1).expect("valid").run, config.run);
        let silent = bytes.replace(r#""os":"linux","#, "").replace(r#""architecture":"amd64","#, "");
        assert!(!silent.contains("amd64") && ImageConfig::read(silent.as_bytes(), 1).is_ok(), "{silent}");
        let nul = bytes.replace("/hello", "/he\\u0000llo");
        assert!(matches!(ImageConfig::read(nul.as_bytes(), 1), Err(Error::Invalid { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = ImageConfig::read(&bytes, 1);
        }
    }
}
