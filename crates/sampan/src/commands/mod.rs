//! The commands that work on this machine's files and kernel, and `push`.

pub mod backup;
pub mod config;
pub mod doctor;
pub mod push;
