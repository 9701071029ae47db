//! Durable state in SQL: namespaces, functions, their versions and aliases; and the
//! [`types::Catalog`] snapshot built from them.
//!
//! Owns the database and all of its statements, the state machine of versions, and the change
//! notifications.
//!
//! # On disk
//! ```text
//! <path>        SQLite in WAL mode; 0600 in a 0700 folder, since environments may hold secrets
//! <path>-wal    commits that are not in the main file yet
//! <path>-shm    index of the WAL
//! ```
//! The schema is in `migrations/`; statements are limited to SQL that PostgreSQL supports as well.
//!
//! # Durability
//! A commit is on disk before its call returns (`synchronous = FULL`): an acknowledged change
//! survives `kill -9` and a power failure. `NORMAL` would suffice only for the former; the cost of
//! one `fsync` per change of a function is negligible beside the preparation of its image.
//!
//! # Writing
//! One write runs at a time, each in a separate task: a cancelled caller does not interrupt its
//! write, so that a commit is always followed by its snapshot. The snapshot is swapped before the
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
