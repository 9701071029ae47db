//! The statements of the queue, on SQLite. They use no dialect beyond `RETURNING`, window functions
//! and partial indexes, which PostgreSQL has too.

pub(crate) mod claim;
pub(crate) mod claimed;
pub(crate) mod dead;
pub(crate) mod deliveries;
pub(crate) mod finish;
pub(crate) mod insert;
pub(crate) mod list;
pub(crate) mod marks;
mod open;
pub(crate) mod recover;
mod row;
pub(crate) mod set_aside;
pub(crate) mod source_keys;
pub(crate) mod terminate;

pub(crate) use open::{open, open_beside, open_reader, reopen};
