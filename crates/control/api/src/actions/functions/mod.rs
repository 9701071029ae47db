//! Actions on functions.

pub(super) mod copy;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod destinations;
pub(super) mod get;
pub(super) mod list;
pub(super) mod update_code;
pub(super) mod update_configuration;
mod volumes;
