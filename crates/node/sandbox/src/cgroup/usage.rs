//! How much memory an instance uses: anonymous pages, files in memory, and what the kernel holds
//! for it. Not the page cache of the image, which the kernel charges to whoever reads it first.
//!
//! The kernel keeps the peak of all that is charged, cache included, and reads it in a microsecond;
//! the parts are in `memory.stat`, which takes it ten times as long and more on large machines. So
//! the parts are sampled when the peak has grown, and once in a while.

use super::directory::Directory;

/// The parts are sampled again when the peak of the whole has grown by one part in this many.
const GROWTH_PARTS: u64 = 32;
/// What the kernel may have charged ahead, or not yet have counted in `memory.stat`: 64 pages
/// (`MEMCG_CHARGE_BATCH`) for each processor that an instance used of late, taken as two.
const UNCOUNTED_BYTES_MAX: u64 = 2 * 64 * 4096;

/// One reading of the parts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What the instance uses.
    pub used: u64,
    /// Page cache of files on disks.
    pub cache: u64,
}

/// What is charged, by kind.
const STAT: &str = "memory.stat";

/// Where the parts are.
#[derive(Debug)]
pub enum Parts {
    /// `memory.stat`, and the kernel's part in a file of its own.
    V1(Directory),
    /// `memory.stat`.
    V2(Directory),
}

impl Parts {
    /// Of a version 1 directory.
    pub fn v1(folder: &Directory) -> Self {
        Self::V1(folder.clone())
    }

    /// Of a version 2 directory.
    pub fn v2(folder: &Directory) -> Self {
        Self::V2(folder.clone())
    }

    /// Reads them; nothing when the group is gone.
    pub fn sample(&self) -> Option<Sample> {
        match self {
            Self::V1(folder) => {
                // Kernels can be built without counting their own memory.
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

/// Whether the peak of the whole has no room to grow by as much as would have the parts sampled.
pub fn says_nothing(whole: u64, limit: u64) -> bool {
    whole >= limit - limit / GROWTH_PARTS
}

/// The most that an instance has used so far.
#[derive(Debug, Default)]
pub struct Peak {
    bytes: u64,
    cache_max: u64,
    /// The peak of the whole, as of the newest sample.
    whole: u64,
}

impl Peak {
    /// Whether the parts are to be sampled again, by the peak of the whole.
    pub fn is_stale(&self, whole: u64) -> bool {
        whole > self.whole + self.whole / GROWTH_PARTS
    }

    /// Takes a sample. Use between two samples is seen, too: at its peak, the whole had at most all
    /// the cache that there ever was in it, so that the rest was used.
    pub fn add(&mut self, whole: u64, sample: Sample) {
        self.whole = self.whole.max(whole);
        self.cache_max = self.cache_max.max(sample.cache);
        let between = self.whole.saturating_sub(self.cache_max + UNCOUNTED_BYTES_MAX);
        self.raise(sample.used.max(between));
    }

    /// Is at least this from now on.
    pub fn raise(&mut self, bytes: u64) {
        self.bytes = self.bytes.max(bytes);
    }

    /// The most, in bytes.
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
            // 20 MB at the start, then 200 MB that are gone again when it is looked at.
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
        // Memory in the place of cache that was given back: the whole stays.
        peak.add(100 * MB, Sample { used: 90 * MB, cache: 10 * MB });
        assert_eq!(peak.bytes(), 90 * MB);
        peak.raise(128 * MB);
        assert_eq!(peak.bytes(), 128 * MB);
    }
}
