//! The client commands of `sampan`: their arguments, the API client behind them, and what they
//! print.
#![forbid(unsafe_code)]

// First, so that its macros hold in all that follow.
#[macro_use]
pub mod print;

pub mod address;
pub mod args;
pub mod client;
pub mod commands;
pub mod credentials;
pub mod failure;
pub mod image_name;
mod local_time;
pub mod output;
pub mod terminal;
