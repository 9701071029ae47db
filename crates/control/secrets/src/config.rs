//! Limits of the functions' secrets.

use std::path::PathBuf;
use std::time::Duration;

use credentials::KeyFile;
use serde::{Deserialize, Serialize};
use store::SecretLimits;

use crate::Error;

/// Table `[secrets]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// File with the key that seals secrets and registries' logins, 64 hexadecimal digits. Without
    /// it and without `key_command`, a key in the data directory, generated on the first start.
    pub key_file: Option<PathBuf>,
    /// Shell command that prints the key, such as `age -d -i /etc/sampan/identity
    /// /etc/sampan/key.age`; run once at the start.
    pub key_command: Option<String>,
    /// Timeout of that command, in seconds.
    pub key_command_timeout_s: u64,
    /// Longest audit log, in bytes; the oldest half is removed when it is full.
    pub audit_bytes_max: u64,
    /// Longest queue of unwritten audit entries; further reads are only counted.
    pub audit_waiting_max: usize,
    /// Most secrets of the installation.
    pub secrets_max: usize,
    /// Most versions of one secret; the oldest version that no function is pinned to is removed.
    pub versions_max: usize,
    /// Longest value, in bytes.
    pub value_bytes_max: usize,
    /// Bytes of all values together; they are kept in memory, sealed.
    pub bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key_file: None,
            key_command: None,
            key_command_timeout_s: 30,
            audit_bytes_max: 16 << 20,
            audit_waiting_max: 10_000,
            secrets_max: 1_000,
            versions_max: 20,
            value_bytes_max: 64 << 10,
            bytes_max: 16 << 20,
        }
    }
}

impl Config {
    /// The location of the key; `named` is a file that the environment names.
    ///
    /// # Errors
    /// [`Error::TwoKeys`].
    pub fn key(&self, named: Option<PathBuf>) -> Result<KeyFile, Error> {
        let files = [named, self.key_file.clone()].into_iter().flatten().collect::<Vec<_>>();
        match (files.as_slice(), &self.key_command) {
            ([], None) => Ok(KeyFile::Made),
            ([file], None) => Ok(KeyFile::Named(file.clone())),
            ([one, two], None) if one == two => Ok(KeyFile::Named(one.clone())),
            ([], Some(command)) => Ok(KeyFile::Command {
                command: command.clone(),
                timeout: Duration::from_secs(self.key_command_timeout_s),
            }),
            _ => Err(Error::TwoKeys),
        }
    }

    pub(crate) fn limits(&self) -> SecretLimits {
        SecretLimits { secrets_max: self.secrets_max, versions_max: self.versions_max, bytes_max: self.bytes_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_key() {
        let (file, command) = (|| Some(PathBuf::from("/etc/key")), || Some("age -d".to_owned()));
        let key = |key_file, key_command, named| Config { key_file, key_command, ..Config::default() }.key(named);
        assert_eq!(key(None, None, None).unwrap(), KeyFile::Made);
        for (setting, named) in [(file(), None), (None, file()), (file(), file())] {
            assert_eq!(key(setting, None, named).unwrap(), KeyFile::Named("/etc/key".into()));
        }
        assert!(matches!(key(None, command(), None).unwrap(), KeyFile::Command { .. }));
        for (setting, named) in [(file(), None), (None, file())] {
            assert!(matches!(key(setting, command(), named), Err(Error::TwoKeys)));
        }
        assert!(matches!(key(file(), None, Some("/other".into())), Err(Error::TwoKeys)));
    }
}
