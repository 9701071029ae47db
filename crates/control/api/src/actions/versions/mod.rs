//! Actions on published versions.

pub(super) mod delete;
pub(super) mod list;
pub(super) mod publish;
mod wire;
