//! Address and keys of a store: a table `[connections.NAME]` of the settings.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::Error;

/// A store that speaks S3.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its address, such as `https://s3.example.com:9000`.
    pub endpoint: String,
    /// Its region; most stores accept any.
    #[serde(default = "region")]
    pub region: String,
    /// Public half of the key pair.
    pub access_key: String,
    /// Its secret half.
    #[serde(default, serialize_with = "hidden")]
    pub secret_key: Option<String>,
    /// A file with the secret half, instead of `secret_key`; read for each list.
    #[serde(default)]
    pub secret_key_file: Option<PathBuf>,
    /// Whether the bucket is in the path of URLs instead of the host.
    #[serde(default = "path_style")]
    pub path_style: bool,
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn path_style() -> bool {
    true
}

#[expect(clippy::ref_option, reason = "serde gives the field")]
fn hidden<S: Serializer>(secret: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(serializer)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An invalid key of the connection, and the remedy. Never shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {why}")]
pub struct WrongSetting {
    /// The key.
    pub key: &'static str,
    /// The problem.
    pub why: String,
}

impl Connection {
    /// Refuses values with which no bucket could be listed. The file of the secret is not checked:
    /// it is read for each list.
    ///
    /// # Errors
    /// The first invalid key.
    pub fn check(&self) -> Result<(), WrongSetting> {
        let wrong = |key, why: &str| Err(WrongSetting { key, why: why.to_owned() });
        let is_address = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.host().is_some();
        match self.endpoint.parse::<reqwest::Url>() {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                return wrong("endpoint", "has credentials in it; write them as access_key and secret_key_file");
            }
            Ok(url) if is_address(&url) => {}
            Ok(_) | Err(_) => return wrong("endpoint", "must be an address such as https://s3.example.com:9000"),
        }
        if self.access_key.is_empty() {
            return wrong("access_key", "is empty; write the public half of the store's key pair");
        }
        match (self.secret_key.as_deref(), &self.secret_key_file) {
            (Some(_), Some(_)) => wrong("secret_key", "and secret_key_file are both set; leave one of them out"),
            (None, None) => {
                wrong("secret_key_file", "is missing: name the file with the secret half, or write it as secret_key")
            }
            (Some(secret), None) if secret.trim().is_empty() => {
                wrong("secret_key", "is empty; write the secret half of the store's key pair")
            }
            (Some(_), None) | (None, Some(_)) => Ok(()),
        }
    }

    /// The secret key.
    pub(crate) fn secret(&self) -> Result<String, Error> {
        match (&self.secret_key, &self.secret_key_file) {
            (Some(secret), None) => Ok(secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|source| Error::SecretFile { path: path.clone(), source })?;
                Ok(text.trim_end().to_owned())
            }
            _ => Err(Error::Secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_to_do_and_without_the_secret() {
        let good = Connection {
            endpoint: "https://s3.example.com:9000".to_owned(),
            region: region(),
            access_key: "AK".to_owned(),
            secret_key: Some("very-secret".to_owned()),
            secret_key_file: None,
            path_style: true,
        };
        assert_eq!(good.check(), Ok(()));
        let file = Some(PathBuf::from("/etc/key"));
        assert_eq!(Connection { secret_key: None, secret_key_file: file.clone(), ..good.clone() }.check(), Ok(()));
        for (connection, text) in [
            (Connection { endpoint: "s3.example.com".to_owned(), ..good.clone() }, "endpoint must be an address"),
            (Connection { endpoint: "ftp://s3/".to_owned(), ..good.clone() }, "endpoint must be an address"),
            (
                Connection { endpoint: "http://a:very-secret@s3/".to_owned(), ..good.clone() },
                "endpoint has credentials",
            ),
            (Connection { access_key: String::new(), ..good.clone() }, "access_key is empty"),
            (Connection { secret_key_file: file, ..good.clone() }, "secret_key and secret_key_file are both set"),
            (Connection { secret_key: None, ..good.clone() }, "secret_key_file is missing"),
            (Connection { secret_key: Some(" ".to_owned()), ..good.clone() }, "secret_key is empty"),
        ] {
            let error = connection.check().unwrap_err().to_string();
            assert!(error.starts_with(text) && !error.contains("very-secret"), "{error}");
        }
    }
}
