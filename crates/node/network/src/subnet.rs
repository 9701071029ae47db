//! Ranges of IPv4 addresses: reading, comparing, cutting into blocks, and joining. Pure.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses that share their first bits: `10.222.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: u32,
    prefix_bits: u8,
}

impl Subnet {
    /// The range of `prefix_bits` that an address is in.
    pub fn of(address: Ipv4Addr, prefix_bits: u8) -> Self {
        let prefix_bits = prefix_bits.min(32);
        Self { first: u32::from(address) & mask(prefix_bits), prefix_bits }
    }

    /// How many bits its addresses share.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Its lowest address.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// The bits that are shared.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(mask(self.prefix_bits))
    }

    /// How many addresses follow the lowest.
    pub fn span(self) -> u32 {
        !mask(self.prefix_bits)
    }

    /// The address at an offset from the lowest; the highest at most.
    pub fn at(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + offset.min(self.span()))
    }

    /// Whether it has the address.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix_bits) == self.first
    }

    /// Whether it and another have addresses in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }

    /// Its parts of `prefix_bits` each, which is not below its own.
    fn blocks(self, prefix_bits: u8) -> impl Iterator<Item = Self> {
        let count = 1_u64 << prefix_bits.saturating_sub(self.prefix_bits);
        (0..count).map(move |n| Self { first: self.first + (n << (32 - prefix_bits)) as u32, prefix_bits })
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

/// Ranges as pairs of first and last address, in order, those that overlap or touch made one.
pub fn joined(ranges: &[Subnet]) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for range in ranges {
        let last = range.first + range.span();
        match joined.last_mut() {
            Some(before) if range.first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((range.first, last)),
        }
    }
    joined.into_iter().map(|(first, last)| (first.into(), last.into())).collect()
}

fn mask(prefix_bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no range of IPv4 addresses such as 10.222.0.0/16");
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(wrong)?;
        let range = Self::of(address, bits);
        if range.first() == address {
            Ok(range)
        } else {
            Err(format!("{text:?} has bits beyond its prefix; did you mean {range}?"))
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(range: Subnet) -> Self {
        range.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_are_read_and_shown() {
        for text in ["10.222.0.0/16", "0.0.0.0/0", "192.0.2.7/32"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        assert_eq!(subnet("192.0.2.7"), subnet("192.0.2.7/32"));
        for (text, want) in
            [("10.0.0.1/8", "did you mean 10.0.0.0/8?"), ("10.0.0.0/33", "no range"), ("fe80::/10", "no range")]
        {
            assert!(text.parse::<Subnet>().expect_err("refused").contains(want), "{text}");
        }
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

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "224.0.0.0/4", "240.0.0.0/4"].map(subnet);
        let pairs = joined(&ranges).into_iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>();
        assert_eq!(pairs, ["10.0.0.0-10.0.1.255", "224.0.0.0-255.255.255.255"]);
    }

    proptest! {
        #[test]
        fn joining_keeps_every_address_and_adds_none(
            ranges in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..12),
            probe in any::<u32>(),
        ) {
            let ranges: Vec<Subnet> = ranges.into_iter().map(|(a, bits)| Subnet::of(a.into(), bits)).collect();
            let pairs = joined(&ranges);
            prop_assert!(pairs.windows(2).all(|two| u32::from(two[0].1) + 1 < u32::from(two[1].0)));
            let ends = ranges.iter().flat_map(|range| [range.first(), range.at(range.span())]);
            for address in ends.chain([Ipv4Addr::from(probe)]) {
                let before = ranges.iter().any(|range| range.contains(address));
                prop_assert_eq!(before, pairs.iter().any(|(first, last)| (*first..=*last).contains(&address)));
            }
        }
    }
}
