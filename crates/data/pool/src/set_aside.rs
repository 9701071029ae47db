//! Memory of the installation that is not available to instances, such as that of tmpfs file
//! systems.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of `memory_mb_max` is used otherwise, in MB; shared with its writers. A new value
/// applies from the next start on.
#[derive(Debug, Clone, Default)]
pub struct SetAside(Arc<AtomicU64>);

impl SetAside {
    /// Sets the amount.
    pub fn set(&self, mb: u64) {
        self.0.store(mb, Ordering::Relaxed);
    }

    /// The amount.
    pub fn mb(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for SetAside {
    fn eq(&self, other: &Self) -> bool {
        self.mb() == other.mb()
    }
}

impl Eq for SetAside {}
