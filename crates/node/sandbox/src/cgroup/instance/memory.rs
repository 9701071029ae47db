//! What an instance uses of its memory: the peak, and kills for it.

use std::sync::atomic::Ordering;

use super::InstanceCgroup;
use crate::cgroup::usage::{Peak, says_nothing};

impl InstanceCgroup {
    /// The most memory that it used so far, in bytes: of its processes, its files and the kernel.
    /// Looks closely only when more is charged to it than when that was done last.
    pub fn memory_peak_bytes(&self) -> u64 {
        let whole = self.memory_whole();
        match self.peak.try_lock() {
            Some(mut peak) if peak.is_stale(whole) => self.sample(&mut peak, whole),
            // Known well enough, or being looked at.
            _ => self.peak_bytes.load(Ordering::Relaxed),
        }
    }

    /// Looks at what it uses; closely where the kernel's peak tells nothing any more, because page
    /// cache took all that it may have and is given back as the rest grows.
    pub fn look_at_memory(&self) {
        let limit = self.limits.map_or(u64::MAX, |limits| limits.memory_bytes);
        let whole = self.memory_whole();
        if says_nothing(whole, limit) {
            self.sample(&mut self.peak.lock(), whole);
        } else {
            self.memory_peak_bytes();
        }
    }

    /// Looks closely at what it uses now.
    pub fn sample_memory(&self) {
        self.sample(&mut self.peak.lock(), self.memory_whole());
    }

    /// The most that was ever charged to it; what is charged now where the kernel does not keep
    /// that.
    fn memory_whole(&self) -> u64 {
        self.memory.peak.read().or_else(|| self.memory.current.read()).unwrap_or_default()
    }

    fn sample(&self, peak: &mut Peak, whole: u64) -> u64 {
        if let Some(sample) = self.memory.parts.sample() {
            peak.add(whole, sample);
        }
        self.peak_bytes.store(peak.bytes(), Ordering::Relaxed);
        peak.bytes()
    }

    /// Processes that the kernel killed for memory. It used its limit then, however short.
    pub fn out_of_memory_kills(&self) -> u64 {
        let kills = self.memory.out_of_memory_kills();
        if kills > 0 {
            let mut peak = self.peak.lock();
            peak.raise(self.limits.map_or(0, |limits| limits.memory_bytes));
            self.peak_bytes.store(peak.bytes(), Ordering::Relaxed);
        }
        kills
    }
}
