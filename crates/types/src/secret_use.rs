//! Which secrets a version has. Pure.

use crate::function::VersionSpec;
use crate::secret_ref::{Part, SecretRef, parts};

/// How a version has a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// Which one.
    pub secret: SecretRef,
    /// Whether it is in a variable, which takes only texts.
    pub in_variable: bool,
}

/// The secrets that a version has, each as often as it names it. A malformed reference names none:
/// it is refused where it is given.
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
