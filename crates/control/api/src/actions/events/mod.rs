//! The actions on asynchronous events.

mod list;
mod status;
mod terminate;

pub(super) use list::list;
pub(super) use status::status;
pub(super) use terminate::{terminate, terminate_by_id};
