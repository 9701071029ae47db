//! The synchronization that [`super::inline_waker`] is made of; its model check has loom's instead.

pub(super) use std::sync::atomic::{AtomicU8, Ordering};

pub(super) use parking_lot::Mutex;
