//! Where a store is, and its keys: a table `[connections.NAME]` of the settings.

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
    /// Its region; most stores take any.
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
    /// Whether the bucket stands in the path of addresses and not in their host.
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

impl Connection {
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
