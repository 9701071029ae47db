//! The names under which images are kept for versions.

use types::VersionKey;

/// What all of them begin with; nobody else's do.
pub(crate) const PREFIX: &str = "function/";

/// Who keeps the image of a version at a generation.
pub(crate) fn of(key: &VersionKey) -> String {
    format!("{PREFIX}{}/{}/{}", key.function_id, key.version, key.generation)
}
