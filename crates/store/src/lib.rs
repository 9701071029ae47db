//! Durable state in SQL: namespaces, functions, their versions and aliases; and the
//! [`types::Catalog`] snapshot made from them.
//!
//! Owns the database and every statement sent to it, the states a version goes through, and the
//! change notices.
//!
//! # On disk
//! ```text
//! <path>        SQLite in WAL mode; 0600 in a 0700 folder, since environments may hold secrets
//! <path>-wal    commits that are not in the main file yet
//! <path>-shm    index of the WAL
//! ```
//! The schema is in `migrations/`; statements keep to what PostgreSQL understands as well.
//!
//! # Durability
//! A commit is on the disk before the call that made it returns (`synchronous = FULL`): an
//! acknowledged change survives `kill -9` and the loss of power. `NORMAL` would be enough for the
//! former only; one `fsync` per change of a function is nothing beside the preparation of its
//! image, so the stronger promise is had for free.
//!
//! # Writing
//! One write at a time, each in a task of its own: a caller that goes away does not end a write
//! half way, so a commit is always followed by its snapshot. The snapshot is swapped before the
//! call returns (read your writes).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may fail where it stands.

mod aliases;
mod backup;
mod config;
mod database;
mod deploying;
mod domains;
mod error;
mod event_invoke;
mod find;
mod functions;
mod handle;
mod migrations;
mod namespaces;
mod probe;
mod progress;
mod provisioned;
mod quotas;
mod record;
mod secrets;
mod snapshot;
mod sql;
mod state;
mod trigger_name;
mod triggers;
mod versions;
mod write;

pub use backup::{BackedUpImage, backup, sync, verify};
pub use config::Config;
pub use error::{DomainError, Error, FileError, QuotaError, SecretError};
pub use handle::Store;
pub use record::{
    AliasChange, Change, FunctionPage, FunctionQuery, FunctionWithVersions, ListedFunction, NamespaceRecord, NewAlias,
    NewFunction, OrderBy, Pending, Publication,
};
pub use secrets::{NewSecretVersion, SecretLimits, SecretUser};
pub use trigger_name::TriggerName;
pub use triggers::{NewTrigger, TriggerChange};
