//! Credentials file, written by `sampan up` for clients: endpoint and key pair.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const FILE_NAME: &str = "credentials.toml";

/// Content of the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Control address of the last start, for clients on the same machine.
    pub endpoint: String,
    /// Secret id.
    pub secret_id: String,
    /// Secret key.
    pub secret_key: String,
}

/// Path of the file in a data directory.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Reads a credentials file.
pub fn read(file: &Path) -> anyhow::Result<Credentials> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a file of credentials", file.display()))
}
