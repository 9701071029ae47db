//! What an instance uses of its memory: the peak, and kills for it.

use std::sync::atomic::Ordering;

use super::InstanceCgroup;
use crate::cgroup::usage::{Peak, says_nothing};

impl InstanceCgroup {
    /// The peak of its memory use in bytes: processes, files in memory and kernel memory. Reads
    /// `memory.stat` only when more is charged than at the last reading.
    pub fn memory_peak_bytes(&self) -> u64 {
        let whole = self.memory_whole();
        match self.peak.try_lock() {
            Some(mut peak) if peak.is_stale(whole) => self.sample(&mut peak, whole),
            // Known well enough, or being looked at.
            _ => self.peak_bytes.load(Ordering::Relaxed),
        }
    }

    /// Updates the peak. Where page cache fills the limit, the kernel's own peak is no longer
    /// meaningful (cache is reclaimed as the rest grows), so `memory.stat` is read.
    pub fn look_at_memory(&self) {
        let limit = self.limits.map_or(u64::MAX, |limits| limits.memory_bytes);
        let whole = self.memory_whole();
        if says_nothing(whole, limit) {
            self.sample(&mut self.peak.lock(), whole);
        } else {
            self.memory_peak_bytes();
        }
    }

    /// Reads the current use from `memory.stat`.
    pub fn sample_memory(&self) {
        self.sample(&mut self.peak.lock(), self.memory_whole());
    }

    /// The peak of all charges, cache included; the current charge where the kernel does not record
    /// a peak.
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

    /// OOM kills. After one, the peak is the limit, however short it was reached.
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
