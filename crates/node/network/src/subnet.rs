//! Ranges of IPv4 addresses: their addresses by offset, and blocks of them that are free. Pure.

use std::net::Ipv4Addr;

use crate::prefix::Prefix;

/// A range of IPv4 addresses: `10.222.0.0/16`.
pub type Subnet = Prefix<Ipv4Addr>;

impl Prefix<Ipv4Addr> {
    /// How many addresses follow the lowest.
    pub fn span(self) -> u32 {
        !self.mask().to_bits()
    }

    /// The address at an offset from the lowest; the highest at most.
    pub fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first().to_bits() + offset.min(self.span()))
    }

    /// Its parts of `prefix_bits` each, which is not below its own.
    fn blocks(self, prefix_bits: u8) -> impl Iterator<Item = Self> {
        let count = 1_u64 << prefix_bits.saturating_sub(self.prefix_bits());
        (0..count).map(move |n| Self::of(self.at((n << (32 - prefix_bits)) as u32), prefix_bits))
    }
}

/// The blocks of a range that no range in use overlaps, beginning with the one that `preferred`
/// picks: two platforms on one machine begin at different ones, and one that starts again at the
/// same.
pub fn free_blocks(range: Subnet, prefix_bits: u8, in_use: &[Subnet], preferred: u64) -> Vec<Subnet> {
    let mut all: Vec<Subnet> = range.blocks(prefix_bits).collect();
    let first = (preferred % all.len() as u64) as usize;
    all.rotate_left(first);
    all.retain(|block| !in_use.iter().any(|used| used.overlaps(*block)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a range")
    }

    #[test]
    fn a_block_is_one_that_nobody_uses() {
        let range = subnet("10.222.0.0/16");
        let all = free_blocks(range, 20, &[], 3);
        assert_eq!((all.len(), all[0], all[15]), (16, subnet("10.222.48.0/20"), subnet("10.222.32.0/20")));
        let used = [subnet("10.222.48.0/24"), subnet("10.222.64.0/19"), subnet("192.0.2.0/24")];
        let free = free_blocks(range, 20, &used, 3);
        assert_eq!((free.len(), free[0]), (13, subnet("10.222.96.0/20")));
        assert!(free_blocks(range, 20, &[subnet("10.0.0.0/8")], 3).is_empty());
    }
}
