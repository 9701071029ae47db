//! The root key pair: made on the first start, kept in `<data-dir>/credentials.toml` for its owner only, and read back by
//! the client commands together with the endpoint.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const FILE_NAME: &str = "credentials.toml";
/// Characters behind the prefix of a made secret id, and of a made secret key.
const MADE_LEN: usize = 32;

/// What is in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Control address of the last start, for clients on the same machine.
    pub endpoint: String,
    /// Secret id.
    pub secret_id: String,
    /// Secret key.
    pub secret_key: String,
}

/// Where the file of a data directory is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Takes the key pair from the environment (`SAMPAN_SECRET_ID`, `SAMPAN_SECRET_KEY`), else from the file, else makes one;
/// then writes the file with the endpoint of this start.
pub fn prepare(data_dir: &Path, endpoint: &str) -> anyhow::Result<Credentials> {
    let file = path(data_dir);
    let (secret_id, secret_key) = match (from_env("SAMPAN_SECRET_ID"), from_env("SAMPAN_SECRET_KEY")) {
        (Some(id), Some(key)) => (id, key),
        _ if file.exists() => {
            let kept = read(&file)?;
            (kept.secret_id, kept.secret_key)
        }
        _ => (format!("AKID{}", random_text()), random_text()),
    };
    let credentials = Credentials { endpoint: endpoint.to_owned(), secret_id, secret_key };
    write(&file, &credentials).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(credentials)
}

/// Reads a file of credentials.
pub fn read(file: &Path) -> anyhow::Result<Credentials> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a file of credentials", file.display()))
}

fn write(file: &Path, credentials: &Credentials) -> anyhow::Result<()> {
    // Written beside and renamed, so that a crash leaves the old pair or the new one, never half of one.
    let beside = file.with_extension("toml.new");
    let mut to = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    to.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    to.write_all(toml::to_string(credentials)?.as_bytes())?;
    to.sync_all()?;
    std::fs::rename(&beside, file)?;
    Ok(())
}

fn from_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn random_text() -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(MADE_LEN).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_pair_is_kept_and_private() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = prepare(dir.path(), "http://127.0.0.1:1").expect("made");
        let second = prepare(dir.path(), "http://127.0.0.1:2").expect("kept");
        assert_eq!((&first.secret_id, &first.secret_key), (&second.secret_id, &second.secret_key));
        assert_eq!(read(&path(dir.path())).expect("readable").endpoint, "http://127.0.0.1:2");
        let mode = std::fs::metadata(path(dir.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
