//! Lists of objects in stores that speak S3.
//!
//! How to use: [`Store::new`] with a connection of the settings, then [`Store::page`] until a page
//! names no further one.
#![forbid(unsafe_code)]
// Tests may unwrap.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connection;
mod error;
mod list;

pub use connection::{Connection, WrongSetting};
pub use error::Error;
pub use list::{Page, Store};
