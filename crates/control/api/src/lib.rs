//! The cloud API 3.0 (product `scf`, version 2018-04-16): what the official SDKs and command-line
//! client speak.
//!
//! Owns the way from an HTTP request to an answer: signature, parameters, one handler for each
//! action, and the text of every error that a client sees. Handlers write to the store; `deploy`
//! prepares what they ask for. Beside it stands the registries' administrative endpoint
//! (`registries_admin`).
//!
//! ```text
//! HTTP ─> server ─> signature ─> params ─> actions ─> store | invoke | logs
//!            ^                               │ validate: what a request asks for, or what is wrong with it
//!            └────────── envelope <──────────┘ render:   what the answer says
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
pub use types::{InvalidUtcOffset, UtcOffset};
