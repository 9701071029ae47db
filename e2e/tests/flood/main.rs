//! Floods by callers and functions, and their effect on others.
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod names;
mod starts;
