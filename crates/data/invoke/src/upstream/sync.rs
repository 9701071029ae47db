//! The synchronization primitives of [`super::inline_waker`]; its model check uses loom's instead.

pub(super) use std::sync::atomic::{AtomicU8, Ordering};

pub(super) use parking_lot::Mutex;
