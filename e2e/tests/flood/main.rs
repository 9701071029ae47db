//! Floods: callers and functions that ask for too much, and what others notice of it.
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod names;
mod starts;
