//! Commands that work on this machine's files and kernel.

pub mod backup;
pub mod config;
pub mod doctor;
