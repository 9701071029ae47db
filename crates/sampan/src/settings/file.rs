//! The configuration file as a source of settings.

use std::path::PathBuf;

use figment::value::{Dict, Map};
use figment::{Error, Metadata, Profile, Provider};

/// A TOML file that must exist.
pub struct TomlFile(pub PathBuf);

impl Provider for TomlFile {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.0.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let text = std::fs::read_to_string(&self.0).map_err(|error| Error::from(error.to_string()))?;
        let settings: Dict = toml::from_str(&text).map_err(|error| unreadable(&text, &error))?;
        Ok(Profile::Default.collect(settings))
    }
}

/// Line number and reason of a TOML syntax error, without the line's text, which may contain a
/// secret.
fn unreadable(text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    Error::from(format!("{place}{}", error.message()))
}
