//! The synchronization primitives of the files that `loom_tests.rs` compiles again with loom's.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub(crate) use crate::lock::RankedMutex as Mutex;
