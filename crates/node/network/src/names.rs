//! Names of a platform's kernel objects, by which a later start finds them. Pure.

/// How the names of all platforms' links begin.
pub const LINKS_OF_ALL: &str = "smp";
/// Name of a link inside its instance.
pub const INNER_LINK: &str = "eth0";
/// The machine's own loopback.
pub const LOOPBACK: &str = "lo";

/// Hexadecimal digits of a link's name for its platform and for its number: with the beginning 15
/// characters, the most that the kernel takes.
const PLATFORM_DIGITS: usize = 7;
const NUMBER_DIGITS: usize = 5;

/// The names of one platform, all derived from the number that identifies it on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Table of packet rules.
    pub table: String,
    /// How its links' names begin.
    pub links: String,
    /// Label of its address on the loopback.
    pub label: String,
    /// Group of its links.
    pub group: u32,
    /// Seed of the indexes of its links.
    platform: u64,
}

impl Names {
    /// Of a platform.
    pub fn of(platform: u64) -> Self {
        let short = platform & ((1 << (4 * PLATFORM_DIGITS)) - 1);
        let links = format!("{LINKS_OF_ALL}{short:0PLATFORM_DIGITS$x}");
        Self {
            table: format!("sampan-{platform:016x}"),
            label: format!("{LOOPBACK}:{links}"),
            links,
            // Never 0, the default group of all other links.
            group: (platform >> 32 ^ platform) as u32 | 1,
            platform,
        }
    }

    /// Name of a link by its number, of which the lower 20 bits count.
    pub fn link(&self, number: u32) -> String {
        format!("{}{:0NUMBER_DIGITS$x}", self.links, number & ((1 << (4 * NUMBER_DIGITS)) - 1))
    }

    /// Interface index of a link by its number, the same on both ends. It is chosen in advance, so
    /// that all messages about a link fit in one batch. The kernel assigns indexes from 1 upwards;
    /// these are spread over the upper half, so that two platforms rarely collide.
    pub fn index(&self, number: u32) -> u32 {
        const UPPER_HALF: u32 = 1 << 30;
        // The finalizer of SplitMix64.
        let mut mixed = self.platform.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as u32 & (UPPER_HALF - 1) | UPPER_HALF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_long_as_the_kernel_takes() {
        let names = Names::of(0xaf63_dc4c_8601_ec8c);
        assert_eq!(names.table, "sampan-af63dc4c8601ec8c");
        assert_eq!(names.links, "smp601ec8c");
        assert_eq!((names.link(0x1a).as_str(), names.link(u32::MAX).as_str()), ("smp601ec8c0001a", "smp601ec8cfffff"));
        assert_eq!((names.link(0).len(), names.label.as_str()), (15, "lo:smp601ec8c"));
        assert_eq!(names.group, 0x2962_30c1);
    }

    #[test]
    fn indexes_are_positive_high_and_apart() {
        let all = [1_u64, 2].map(|platform| (0..2_000).map(move |number| Names::of(platform).index(number)));
        let mut all: Vec<u32> = all.into_iter().flatten().collect();
        assert!(all.iter().all(|index| (1 << 30..1 << 31).contains(index)));
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 3_990, "{}", all.len());
    }
}
