//! Memory use of an instance: anonymous pages, files in memory, and the kernel's memory for it. It
//! excludes the page cache of the image, which the kernel charges to its first reader.
//!
//! The kernel records the peak of all charged memory, cache included, and reads it in a
//! microsecond; the parts are in `memory.stat`, which takes ten times as long and more on large
//! machines. So the parts are sampled when the peak has grown, and at a long interval.

use super::directory::Directory;

/// The parts are sampled again when the kernel's peak has grown by one part in this many.
const GROWTH_PARTS: u64 = 32;
/// Memory charged ahead, or not yet counted in `memory.stat`: 64 pages (`MEMCG_CHARGE_BATCH`) for
/// each processor that an instance used recently, assumed to be two.
const UNCOUNTED_BYTES_MAX: u64 = 2 * 64 * 4096;

/// One reading of the parts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Memory that the instance uses.
    pub used: u64,
    /// Page cache of files on disks.
    pub cache: u64,
}

/// Charged memory by kind.
const STAT: &str = "memory.stat";

/// Files with the parts.
#[derive(Debug)]
pub enum Parts {
    /// `memory.stat`, and a separate file of the kernel's part.
    V1(Directory),
    /// `memory.stat`.
    V2(Directory),
}

impl Parts {
    /// The files of a version 1 directory.
    pub fn v1(folder: &Directory) -> Self {
        Self::V1(folder.clone())
    }

    /// The files of a version 2 directory.
    pub fn v2(folder: &Directory) -> Self {
        Self::V2(folder.clone())
    }

    /// Reads them; `None` when the group is gone.
    pub fn sample(&self) -> Option<Sample> {
        match self {
            Self::V1(folder) => {
                // Kernels can be built without accounting of kernel memory.
                let kernel = folder.read("memory.kmem.usage_in_bytes").ok().and_then(|text| text.trim().parse().ok());
                Some(of_v1(&folder.read(STAT).ok()?, kernel.unwrap_or_default()))
            }
            Self::V2(folder) => Some(of_v2(&folder.read(STAT).ok()?)),
        }
    }
}

/// In version 1 `cache` contains files in memory, and `rss` is anonymous memory (memory.rst).
fn of_v1(stat: &str, kernel: u64) -> Sample {
    let of = |name| field(stat, name).unwrap_or_default();
    let shmem = of("shmem");
    Sample { used: of("rss") + shmem + kernel, cache: of("cache").saturating_sub(shmem) }
}

/// In version 2 `file` contains files in memory; before Linux 5.18 the kernel's memory is in parts
/// (cgroup-v2.rst).
fn of_v2(stat: &str) -> Sample {
    let of = |name| field(stat, name).unwrap_or_default();
    let parts = || ["slab", "kernel_stack", "pagetables", "percpu"].map(of).iter().sum();
    let shmem = of("shmem");
    let kernel: u64 = field(stat, "kernel").unwrap_or_else(parts);
    Sample { used: of("anon") + shmem + kernel, cache: of("file").saturating_sub(shmem) }
}

fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Whether the charged memory is so near its limit that its peak cannot grow enough to cause
/// another sample.
pub fn says_nothing(whole: u64, limit: u64) -> bool {
    whole >= limit - limit / GROWTH_PARTS
}

/// Highest memory use of an instance so far.
#[derive(Debug, Default)]
pub struct Peak {
    bytes: u64,
    cache_max: u64,
    /// The kernel's peak at the newest sample.
    whole: u64,
}

impl Peak {
    /// Whether the parts must be sampled again, given the kernel's peak.
    pub fn is_stale(&self, whole: u64) -> bool {
        whole > self.whole + self.whole / GROWTH_PARTS
    }

    /// Adds a sample. It also covers use between two samples: at the kernel's peak, the cache was
    /// at most the highest ever sampled, so that the rest was used.
    pub fn add(&mut self, whole: u64, sample: Sample) {
        self.whole = self.whole.max(whole);
        self.cache_max = self.cache_max.max(sample.cache);
        let between = self.whole.saturating_sub(self.cache_max + UNCOUNTED_BYTES_MAX);
        self.raise(sample.used.max(between));
    }

    /// Raises it to at least this value.
    pub fn raise(&mut self, bytes: u64) {
        self.bytes = self.bytes.max(bytes);
    }

    /// The highest use, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn the_parts_of_each_version_are_added_up() {
        let v1 = "cache 100\nrss 7\nrss_huge 2\nshmem 30\nmapped_file 5\ntotal_cache 999\ntotal_rss 999\n";
        assert_eq!(of_v1(v1, 4), Sample { used: 41, cache: 70 });
        let v2 = "anon 7\nfile 100\nkernel 4\nkernel_stack 1\nshmem 30\nslab 2\nanon_thp 5\n";
        assert_eq!(of_v2(v2), Sample { used: 41, cache: 70 });
        let before_5_18 = "anon 7\nfile 100\nkernel_stack 1\npagetables 1\npercpu 0\nshmem 30\nslab 2\n";
        assert_eq!(of_v2(before_5_18), of_v2(v2));
        assert_eq!(of_v2(""), Sample { used: 0, cache: 0 });
    }

    #[test]
    fn the_same_work_is_reported_the_same_whoever_reads_the_image_first() {
        let work = |cache| {
            let mut peak = Peak::default();
            // 20 MB at the start, then 200 MB that are freed before the sample.
            peak.add(20 * MB, Sample { used: 20 * MB, cache: 0 });
            assert!(peak.is_stale((cache + 220) * MB));
            peak.add((cache + 220) * MB, Sample { used: 20 * MB, cache: cache * MB });
            peak.bytes()
        };
        assert_eq!(work(0), work(450));
        assert!(work(450) > 219 * MB);
    }

    #[test]
    fn a_peak_at_the_limit_says_nothing() {
        assert!(!says_nothing(495 * MB, 512 * MB) && says_nothing(496 * MB, 512 * MB));
        assert!(!says_nothing(512 * MB, u64::MAX));
    }

    #[test]
    fn samples_are_taken_as_the_whole_grows_and_the_most_stays() {
        let mut peak = Peak::default();
        assert!(!peak.is_stale(0) && peak.is_stale(1));
        peak.add(100 * MB, Sample { used: 60 * MB, cache: 40 * MB });
        assert!(!peak.is_stale(103 * MB) && peak.is_stale(104 * MB));
        peak.add(100 * MB, Sample { used: 5 * MB, cache: 95 * MB });
        assert_eq!(peak.bytes(), 60 * MB);
        // Memory replaced cache that was reclaimed: the charged memory stays the same.
        peak.add(100 * MB, Sample { used: 90 * MB, cache: 10 * MB });
        assert_eq!(peak.bytes(), 90 * MB);
        peak.raise(128 * MB);
        assert_eq!(peak.bytes(), 128 * MB);
    }
}
