//! Memory of the installation that is not for instances, such as that of file systems in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of `memory_mb_max` others have, in MB; shared with whoever knows. What is said counts
/// from the next start on.
#[derive(Debug, Clone, Default)]
pub struct SetAside(Arc<AtomicU64>);

impl SetAside {
    /// Says how much it is.
    pub fn set(&self, mb: u64) {
        self.0.store(mb, Ordering::Relaxed);
    }

    /// How much it is.
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
