//! The encryption key: a file of its own, generated once.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngCore;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::key_command;
use super::seal::KEY_BYTES;
use crate::Error;

/// Name of a generated key in the data directory.
const FILE_NAME: &str = "secrets.key";
/// Longest file that may hold a key, surrounding blanks included.
const FILE_BYTES_MAX: u64 = 1024;

/// Location of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// In the data directory; generated where it is missing and no secret is sealed yet.
    Made,
    /// A file managed by the operator.
    Named(PathBuf),
    /// Printed by a command of the operator, run once at the start.
    Command {
        /// Shell command.
        command: String,
        /// Timeout.
        timeout: Duration,
    },
}

impl KeyFile {
    pub(super) fn path(&self, data_dir: &Path) -> PathBuf {
        match self {
            Self::Made => data_dir.join(FILE_NAME),
            Self::Named(path) => path.clone(),
            Self::Command { .. } => PathBuf::from("of [secrets] key_command"),
        }
    }

    /// Reads the key. Generates a [`KeyFile::Made`] if `may_make`, that is, if no secret is sealed
    /// with an earlier key.
    pub(super) fn load(
        &self,
        data_dir: &Path,
        may_make: bool,
        sealed: &Path,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        if let Self::Command { command, timeout } = self {
            let printed = key_command::run(command, *timeout).map_err(|reason| Error::KeyCommand { reason })?;
            let reason = || "it printed something else than 64 hexadecimal digits".to_owned();
            return parse(&printed).ok_or_else(|| Error::KeyCommand { reason: reason() });
        }
        let path = self.path(data_dir);
        match read(&path) {
            Ok(key) => key.ok_or(Error::BadKey { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => match self {
                Self::Named(_) | Self::Command { .. } => Err(Error::NamedKeyMissing { path }),
                Self::Made if may_make => make(&path).map_err(|source| io_error("write", &path, source)),
                Self::Made => Err(Error::MissingKey { key: path, file: sealed.to_owned() }),
            },
            Err(source) => Err(io_error("read", &path, source)),
        }
    }
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { operation, path: path.to_owned(), source }
}

/// The key in a file; `None` unless it holds one.
fn read(path: &Path) -> io::Result<Option<Zeroizing<[u8; KEY_BYTES]>>> {
    // Opening a pipe would wait for its writer.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file; name one"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Ok(None);
    }
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "key file of registry secrets is readable by others than its owner");
    }
    // It may grow meanwhile.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    Ok(parse(&text))
}

fn parse(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(text.trim_ascii(), key.as_mut_slice()).ok().map(|()| key)
}

/// Generates a key with mode 0600, synced before any secret is sealed with it.
fn make(path: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::rng().fill_bytes(key.as_mut_slice());
    let text = Zeroizing::new(format!("{}\n", hex::encode(key.as_slice())));
    // Written beside and renamed: a crash leaves no partial key.
    let beside = path.with_extension("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_generated_once_and_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let sealed = dir.path().join("sealed");
        let first = KeyFile::Made.load(dir.path(), true, &sealed).expect("made");
        let path = dir.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyFile::Made.load(dir.path(), false, &sealed).expect("read"), first);
        fs::write(&path, "not a key").expect("written");
        let error = KeyFile::Made.load(dir.path(), true, &sealed).expect_err("no key").to_string();
        assert!(error.contains(FILE_NAME) && error.contains("openssl rand"), "{error}");
    }

    #[test]
    fn a_key_file_that_is_a_device_or_a_pipe_without_a_writer_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        for path in [Path::new("/dev/zero"), &pipe] {
            let named = KeyFile::Named(path.to_owned());
            let error = named.load(Path::new("/"), true, Path::new("/")).expect_err("no key");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            let source = std::error::Error::source(&error).expect("a reason").to_string();
            assert!(source.contains("not a regular file"), "{source}");
        }
    }

    #[test]
    fn a_command_prints_the_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let load = |command: &str| {
            let command = KeyFile::Command { command: command.to_owned(), timeout: Duration::from_secs(20) };
            command.load(dir.path(), true, dir.path()).map_err(|error| error.to_string())
        };
        let digits = "0a".repeat(KEY_BYTES);
        assert_eq!(load(&format!("echo {digits}")).expect("a key").as_slice(), [0x0a; KEY_BYTES]);
        let error = load("echo 0a0a").expect_err("short");
        assert!(error.contains("key_command") && error.contains("64 hexadecimal digits") && !error.contains("0a0a"));
        let error = load(&format!("echo {digits}; echo no identity matched >&2; exit 3")).expect_err("failed");
        assert!(error.contains("exit status: 3: no identity matched") && !error.contains(&digits), "{error}");
    }

    #[test]
    fn a_missing_key_of_sealed_secrets_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = KeyFile::Made.load(dir.path(), false, &dir.path().join("sealed.json")).expect_err("missing");
        assert!(matches!(error, Error::MissingKey { .. }) && error.to_string().contains("sealed.json"), "{error}");
        let named = KeyFile::Named(dir.path().join("elsewhere"));
        let error = named.load(dir.path(), true, dir.path()).expect_err("not made");
        assert!(error.to_string().contains("elsewhere"), "{error}");
        assert!(!dir.path().join("elsewhere").exists());
    }
}
