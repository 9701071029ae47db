//! All SQL statements, by table.

pub(crate) mod aliases;
pub(crate) mod columns;
pub(crate) mod domains;
pub(crate) mod functions;
pub(crate) mod lists;
pub(crate) mod namespaces;
pub(crate) mod quotas;
pub(crate) mod secrets;
pub(crate) mod triggers;
pub(crate) mod versions;
