//! The cloud API 3.0 (product `scf`, version 2018-04-16), as called by the official SDKs and the
//! command-line client.
//!
//! Owns the path of an HTTP request to its answer: signature, parameters, one handler per action,
//! and the text of every client error. Handlers write to the store; `deploy` prepares the requested
//! state. The registries' administrative endpoint (`registries_admin`) is here too.
//!
//! ```text
//! HTTP ─> server ─> signature ─> params ─> actions ─> store | invoke | logs
//!            ^                               │ validate: request fields to typed values
//!            └────────── envelope <──────────┘ render:   records to answers
//! ```
//! Pure, and tested as tables: `params`, `validate`, `render`, and the crate `signature`.
#![forbid(unsafe_code)]

mod actions;
mod body;
mod call;
mod config;
mod context;
mod envelope;
mod failure;
mod handle;
mod params;
pub mod registries_admin;
mod render;
mod server;
mod validate;

pub use config::Config;
pub use context::{CheckMount, GatewayAddress, HostEnvironment, Installation};
pub use handle::{Api, Parts};
pub use server::FromInstance;
pub use types::{InvalidUtcOffset, UtcOffset};
