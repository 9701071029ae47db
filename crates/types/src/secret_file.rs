//! Secrets mounted as files in the instances of a version. Pure.

use serde::{Deserialize, Serialize};

use crate::limits::{SECRET_FILES_MAX, SECRET_PATH_BYTES_MAX};
use crate::secret_ref::SecretRef;

/// Directory of all secret files.
pub const DIR: &str = "/run/secrets";

/// A secret mounted as a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretFile {
    /// Path below `/run/secrets`, as names separated by slashes.
    pub path: String,
    /// The secret.
    pub secret: SecretRef,
}

impl SecretFile {
    /// A file at a path, absolute below `/run/secrets` or relative to it.
    ///
    /// # Errors
    /// The invalid part, and the remedy.
    pub fn new(path: &str, secret: &str) -> Result<Self, String> {
        let below = match path.strip_prefix(DIR).and_then(|rest| rest.strip_prefix('/')) {
            Some(below) => below,
            None if path.starts_with('/') => {
                return Err(format!("{path:?} is not below {DIR}, where files with secrets are; use {DIR}/NAME"));
            }
            None => path,
        };
        let names: Vec<&str> = below.split('/').filter(|name| !name.is_empty()).collect();
        if names.is_empty() || below.ends_with('/') || names.iter().any(|name| *name == "." || *name == "..") {
            return Err(format!("{path:?} is not the path of a file below {DIR}"));
        }
        let path = names.join("/");
        if path.len() > SECRET_PATH_BYTES_MAX || path.contains(char::is_control) {
            return Err(format!("{path:?} has more than {SECRET_PATH_BYTES_MAX} bytes or a control character"));
        }
        Ok(Self { path, secret: secret.parse()? })
    }

    /// Parses `PATH=NAME[@VERSION]`, or `NAME[@VERSION]` for a file with the secret's name.
    ///
    /// # Errors
    /// The invalid part, and the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.rsplit_once('=') {
            Some((path, secret)) => Self::new(path, secret),
            None => {
                let secret: SecretRef = text.parse()?;
                Ok(Self { path: secret.name.to_string(), secret })
            }
        }
    }

    /// Absolute path in an instance.
    pub fn full_path(&self) -> String {
        format!("{DIR}/{}", self.path)
    }
}

/// Refuses secret files of one version that conflict.
///
/// # Errors
/// The conflicting files, and the reason.
pub fn check_together(files: &[SecretFile]) -> Result<(), String> {
    if files.len() > SECRET_FILES_MAX {
        return Err(format!("there are {}; at most {SECRET_FILES_MAX} are allowed", files.len()));
    }
    let is_above =
        |above: &str, path: &str| path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    for (index, file) in files.iter().enumerate() {
        let met = |other: &&SecretFile| is_above(&other.path, &file.path) || is_above(&file.path, &other.path);
        if let Some(other) = files[..index].iter().find(met) {
            let (one, two) = (file.full_path(), other.full_path());
            return Err(format!("{one} and {two} cannot both be files; give each a path of its own"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_below_the_directory_of_secrets() {
        for (text, path, secret) in [
            ("db", "db", "db"),
            ("db@2", "db", "db@2"),
            ("tls//key.pem=web.key@3", "tls/key.pem", "web.key@3"),
            ("/run/secrets/a=b=db", "a=b", "db"),
        ] {
            let file = SecretFile::parse(text).expect(text);
            assert_eq!((file.path.as_str(), file.secret.to_string().as_str()), (path, secret), "{text}");
        }
        for (text, why) in [
            ("/etc/key=db", "not below /run/secrets"),
            ("/run/secretsx=db", "not below /run/secrets"),
            ("../x=db", "not the path of a file"),
            ("a/=db", "not the path of a file"),
            ("=db", "not the path of a file"),
            ("/run/secrets/=db", "not the path of a file"),
            ("a\nb=db", "control character"),
            ("a=", "secret name"),
            ("", "secret name"),
        ] {
            let error = SecretFile::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn no_file_is_a_directory_of_another() {
        let together = |paths: &[&str]| {
            let files: Vec<_> = paths.iter().map(|path| SecretFile::new(path, "db").expect("valid")).collect();
            check_together(&files)
        };
        assert_eq!(together(&["a", "ab", "b/a", "b/b"]), Ok(()));
        for paths in [&["a", "a"][..], &["a", "a/b"], &["a/b", "a"]] {
            assert!(together(paths).expect_err("refused").contains("cannot both be files"), "{paths:?}");
        }
        let many: Vec<String> = (0..33).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(together(&many).expect_err("refused").contains("at most 32"));
    }
}
