//! The cgroup of an instance over its life: there until the reaper gives it back, and its last
//! reading after.

use super::InstanceCgroup;

/// Shared by all readers; written once, by the reaper.
pub enum CgroupState {
    /// It is there.
    There(Box<InstanceCgroup>),
    /// It was given back; the most memory that was in it, in bytes.
    Gone(u64),
}

impl CgroupState {
    /// The most memory so far, or the last reading, in bytes.
    pub fn memory_peak_bytes(&self) -> u64 {
        match self {
            Self::There(cgroup) => cgroup.memory_peak_bytes(),
            Self::Gone(peak_bytes) => *peak_bytes,
        }
    }

    /// Whether the kernel has OOM-killed a process in it, as far as its counters can still be read.
    pub fn has_killed_for_memory(&self) -> bool {
        match self {
            Self::There(cgroup) => cgroup.out_of_memory_kills() > 0,
            Self::Gone(_) => false,
        }
    }

    /// Takes the cgroup out, with its last reading left in its place.
    pub fn take(&mut self) -> Option<Box<InstanceCgroup>> {
        let peak_bytes = self.memory_peak_bytes();
        match std::mem::replace(self, Self::Gone(peak_bytes)) {
            Self::There(cgroup) => Some(cgroup),
            Self::Gone(_) => None,
        }
    }
}
