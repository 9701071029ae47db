//! Owners of the pins of versions.

use types::{FunctionId, VersionKey};

/// Prefix of these owners; no other owner has it.
pub(crate) const PREFIX: &str = "function/";

/// Prefix of the owners of all versions of a function.
pub(crate) fn of_function(id: &FunctionId) -> String {
    format!("{PREFIX}{id}/")
}

/// The function of such an owner.
pub(crate) fn function_of(owner: &str) -> Option<FunctionId> {
    owner.strip_prefix(PREFIX)?.split('/').next()?.parse().ok()
}

/// The owner of a version at a generation.
pub(crate) fn of(key: &VersionKey) -> String {
    format!("{PREFIX}{}/{}/{}", key.function_id, key.version, key.generation)
}
