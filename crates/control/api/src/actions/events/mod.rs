//! The actions that look at asynchronous events.

mod list;
mod status;

pub(super) use list::list;
pub(super) use status::status;
