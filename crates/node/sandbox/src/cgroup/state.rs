//! State of an instance's cgroup: present until the reaper returns it to the pool, then its last
//! reading.

use super::InstanceCgroup;

/// Shared by all readers of an instance; written once, by the reaper.
pub enum CgroupState {
    /// The cgroup exists.
    There(Box<InstanceCgroup>),
    /// Returned to the pool; its highest memory use, in bytes.
    Gone(u64),
}

impl CgroupState {
    /// Highest memory use so far, or the last reading, in bytes.
    pub fn memory_peak_bytes(&self) -> u64 {
        match self {
            Self::There(cgroup) => cgroup.memory_peak_bytes(),
            Self::Gone(peak_bytes) => *peak_bytes,
        }
    }

    /// Whether the OOM killer ended a process in it; false once it is gone.
    pub fn has_killed_for_memory(&self) -> bool {
        match self {
            Self::There(cgroup) => cgroup.out_of_memory_kills() > 0,
            Self::Gone(_) => false,
        }
    }

    /// Takes the cgroup out and leaves its last reading.
    pub fn take(&mut self) -> Option<Box<InstanceCgroup>> {
        let peak_bytes = self.memory_peak_bytes();
        match std::mem::replace(self, Self::Gone(peak_bytes)) {
            Self::There(cgroup) => Some(cgroup),
            Self::Gone(_) => None,
        }
    }
}
