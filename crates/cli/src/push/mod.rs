//! `sampan push`: sends an image to a registry, from an OCI layout or archive, a docker archive, or
//! a directory.
//!
//! Sources are read into `Content`, which lists everything to send; `upload` sends it.

pub mod content;
pub mod docker_archive;
pub mod from_dir;
pub mod layout;
pub mod source;
pub mod upload;

use anyhow::Context;
use registry_client::Config;

use crate::failure::{Exit, Failure};

/// Variable of `[image] redirects_allowed`, the only setting of the platform that clients read too.
const REDIRECTS_ALLOWED: &str = "SAMPAN_IMAGE__REDIRECTS_ALLOWED";

/// Limits of the registry client on a machine without a configuration file.
///
/// # Errors
/// If the variable is not a JSON array of addresses and ranges.
pub fn config_of_environment() -> anyhow::Result<Config> {
    let given = std::env::var(REDIRECTS_ALLOWED).ok().filter(|given| !given.is_empty());
    config(given.as_deref()).with_context(|| format!("{REDIRECTS_ALLOWED} cannot be read"))
}

fn config(redirects_allowed: Option<&str>) -> anyhow::Result<Config> {
    let Some(given) = redirects_allowed else { return Ok(Config::default()) };
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, error.to_string(), "Write a JSON array of addresses and ranges: '[\"10.0.0.5\"]'.")
    };
    let texts: Vec<String> = serde_json::from_str(given).map_err(|error| wrong(&error))?;
    let ranges = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    Ok(Config { redirects_allowed: ranges.map_err(|error| wrong(&error))?, ..Config::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_allowed_by_a_variable() {
        assert_eq!(config(None).expect("nothing").redirects_allowed, []);
        assert_eq!(config(Some(r#"["10.0.0.5", "10.1.0.0/16"]"#)).expect("two").redirects_allowed.len(), 2);
        for wrong in ["10.0.0.5", "[7]", r#"["nowhere"]"#] {
            assert_eq!(Failure::of(&config(Some(wrong)).expect_err(wrong)).exit(), Exit::Usage, "{wrong}");
        }
    }
}
