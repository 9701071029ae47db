//! The root key pair: generated on the first start and stored in `<data-dir>/credentials.toml`,
//! readable by its owner only.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
pub use cli::credentials::{Credentials, path, read};
use rand::Rng;

/// Length of a generated secret id without its prefix, and of a secret key.
const MADE_LEN: usize = 32;

/// Takes the key pair from the environment (`SAMPAN_SECRET_ID`, `SAMPAN_SECRET_KEY`) or from the
/// file, or generates one. Writes the file, with the endpoint of this start, only if it changed, so
/// that a start works on a full disk.
pub fn prepare(data_dir: &Path, endpoint: &str) -> anyhow::Result<Credentials> {
    let file = path(data_dir);
    let given = from_env("SAMPAN_SECRET_ID").zip(from_env("SAMPAN_SECRET_KEY"));
    let kept = match file.exists().then(|| read(&file)) {
        // A damaged file is an error only if the key pair is needed from it.
        Some(Err(error)) if given.is_none() => return Err(error),
        kept => kept.and_then(Result::ok),
    };
    let (secret_id, secret_key) = match (given, &kept) {
        (Some(pair), _) => pair,
        (None, Some(kept)) => (kept.secret_id.clone(), kept.secret_key.clone()),
        (None, None) => (format!("AKID{}", random_text()), random_text()),
    };
    let credentials = Credentials { endpoint: endpoint.to_owned(), secret_id, secret_key };
    if kept.as_ref() == Some(&credentials) {
        // chmod(2) works on a full disk.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("cannot restrict access to {}", file.display()))?;
        return Ok(credentials);
    }
    write(&file, &credentials).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(credentials)
}

fn write(file: &Path, credentials: &Credentials) -> anyhow::Result<()> {
    // Written to a draft and renamed: a crash leaves either the old pair or the new one.
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
    fn an_unchanged_start_writes_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        prepare(dir.path(), "http://127.0.0.1:1").expect("made");
        // A directory at the draft's path makes every write fail.
        std::fs::create_dir(path(dir.path()).with_extension("toml.new")).expect("made");
        prepare(dir.path(), "http://127.0.0.1:1").expect("nothing to write");
        assert!(prepare(dir.path(), "http://127.0.0.1:2").is_err());
    }

    #[test]
    fn a_generated_pair_is_stored_and_private() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = prepare(dir.path(), "http://127.0.0.1:1").expect("made");
        let second = prepare(dir.path(), "http://127.0.0.1:2").expect("kept");
        assert_eq!((&first.secret_id, &first.secret_key), (&second.secret_id, &second.secret_key));
        assert_eq!(read(&path(dir.path())).expect("readable").endpoint, "http://127.0.0.1:2");
        let mode = std::fs::metadata(path(dir.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
