//! How many versions have claims for room, for those who return a slot: while none has, admission
//! is not asked.
//!
//! It is raised before idle instances are looked for, and read under the lock of the version whose
//! slot comes free. So the version yields, or its instance is found idle: neither order loses the
//! room.

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

    /// Whether some version has a claim. The lock under which this is called orders it.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}
