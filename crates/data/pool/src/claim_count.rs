//! The number of versions that have claims for room, read when a slot is returned: while it is 0,
//! admission is not asked.
//!
//! It is raised before idle instances are looked for, and read under the lock of the version whose
//! slot comes free. So either the version yields, or its instance is found idle: neither order
//! loses the room.

use super::sync::{AtomicUsize, Ordering};

/// The number; written under the lock of admission.
pub(crate) struct ClaimCount(AtomicUsize);

impl ClaimCount {
    pub fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    pub fn set(&self, claims: usize) {
        self.0.store(claims, Ordering::Relaxed);
    }

    /// Whether any version has a claim. Ordered by the lock under which this is called.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}
