//! Sandboxes on the real kernel, by behaviour. Needs root, and `cc` with a static C library for the
//! program inside.
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod fairness;
mod freezing;
mod init;
mod isolation;
mod leaks;
mod lifecycle;
mod limits;
mod memory;
mod mounts;
mod outside;
mod pools;
mod runtimes;
mod secrets;
mod stopping;
mod support;
