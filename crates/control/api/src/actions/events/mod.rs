//! The actions on asynchronous events.

mod config;
mod list;
mod status;
mod terminate;

pub(super) use config::{get as get_config, update as update_config};
pub(super) use list::list;
pub(super) use status::status;
pub(super) use terminate::{terminate, terminate_by_id};
