//! Secrets used by a version. Pure.

use crate::function::VersionSpec;
use crate::secret_ref::{Part, SecretRef, parts};

/// A use of a secret by a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// The reference.
    pub secret: SecretRef,
    /// Whether a variable uses it, which requires a text value.
    pub in_variable: bool,
}

/// All uses of secrets by a version, in order, with repetitions. Malformed references are skipped:
/// requests with them are refused.
pub fn of_version(spec: &VersionSpec) -> impl Iterator<Item = SecretUse> {
    let files = spec.extras.secret_files.iter();
    let files = files.map(|file| SecretUse { secret: file.secret.clone(), in_variable: false });
    let values = spec.environment.iter().flat_map(|(_, value)| parts(value).unwrap_or_default());
    let in_variables = values.filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Secret(secret) => Some(SecretUse { secret, in_variable: true }),
    });
    in_variables.chain(files)
}
