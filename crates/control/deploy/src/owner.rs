//! The names under which images are kept for versions.

use types::{FunctionId, VersionKey};

/// Prefix of all of them, and of no other owner.
pub(crate) const PREFIX: &str = "function/";

/// What the owners of all versions of a function begin with.
pub(crate) fn of_function(id: &FunctionId) -> String {
    format!("{PREFIX}{id}/")
}

/// The function of an owner of this kind.
pub(crate) fn function_of(owner: &str) -> Option<FunctionId> {
    owner.strip_prefix(PREFIX)?.split('/').next()?.parse().ok()
}

/// Who keeps the image of a version at a generation.
pub(crate) fn of(key: &VersionKey) -> String {
    format!("{PREFIX}{}/{}/{}", key.function_id, key.version, key.generation)
}
