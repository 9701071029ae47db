//! The client commands of `sampan`: arguments, API client, and output.
#![forbid(unsafe_code)]

// First, because its macros shadow those of std in all modules below.
#[macro_use]
pub mod print;

pub mod address;
pub mod args;
pub mod client;
pub mod commands;
pub mod credentials;
mod declared;
pub mod entry;
mod env_file;
pub mod failure;
pub mod image_name;
mod local_time;
pub mod output;
pub mod push;
pub mod terminal;

pub use declared::nearest;
