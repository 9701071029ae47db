//! Sets and maps that rules look up: their attributes and elements. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netlink::Attributes;

/// Flags of sets.
const SET_CONSTANT: u32 = 2;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const SET_EVALUATED: u32 = 32;
const ELEMENT_ENDS_INTERVAL: u32 = 1;
/// Data types of keys, as `nft` displays them: addresses, ports, numbers, interface names.
const KEY_ADDRESS: u32 = 7;
const KEY_ADDRESS_6: u32 = 8;
const KEY_PORT: u32 = 13;
const KEY_NUMBER: u32 = 19;
const KEY_LINK_NAME: u32 = 41;
/// Data type of verdicts (`NFT_DATA_VERDICT`).
const VERDICTS: u32 = 0xffff_ff00;
/// Bytes of an interface name, padded with NULs (`IFNAMSIZ`).
const LINK_NAME_BYTES: usize = 16;
/// Most elements of a dynamic set: sources that are counted at once.
const COUNTED_MAX: u32 = 1 << 20;

/// A set or map that rules look up.
pub enum Set<'a> {
    /// Ranges of IPv4 addresses, sorted and disjoint.
    Ranges {
        /// Its name.
        name: &'a str,
        /// First and last of each.
        ranges: &'a [(Ipv4Addr, Ipv4Addr)],
    },
    /// The same of IPv6.
    Ranges6 {
        /// Its name.
        name: &'a str,
        /// First and last of each.
        ranges: &'a [(Ipv6Addr, Ipv6Addr)],
    },
    /// Counters by source address, which the kernel adds.
    Counts {
        /// Its name.
        name: &'a str,
    },
    /// Counters by source port masked to its share of all connections.
    Shares {
        /// Its name.
        name: &'a str,
    },
    /// IPv4 addresses that are added and removed later.
    Addresses {
        /// Its name.
        name: &'a str,
    },
    /// The same of IPv6.
    Addresses6 {
        /// Its name.
        name: &'a str,
    },
    /// A map of IPv4 addresses to numbers.
    Numbers {
        /// Its name.
        name: &'a str,
    },
    /// A map of numbers to verdicts.
    Verdicts {
        /// Its name.
        name: &'a str,
    },
    /// Names of interfaces; existing elements stay.
    Links {
        /// Its name.
        name: &'a str,
        /// The names.
        links: &'a [String],
    },
}

impl Set<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Ranges { name, .. }
            | Self::Ranges6 { name, .. }
            | Self::Counts { name }
            | Self::Shares { name }
            | Self::Addresses { name }
            | Self::Addresses6 { name }
            | Self::Numbers { name }
            | Self::Verdicts { name }
            | Self::Links { name, .. } => name,
        }
    }

    /// Flags, data type and length of its keys.
    fn layout(&self) -> (u32, u32, usize) {
        match self {
            Self::Ranges { .. } => (SET_CONSTANT | SET_INTERVAL, KEY_ADDRESS, size_of::<Ipv4Addr>()),
            Self::Ranges6 { .. } => (SET_CONSTANT | SET_INTERVAL, KEY_ADDRESS_6, size_of::<Ipv6Addr>()),
            Self::Counts { .. } => (SET_EVALUATED, KEY_ADDRESS, size_of::<Ipv4Addr>()),
            Self::Shares { .. } => (SET_EVALUATED, KEY_PORT, size_of::<u16>()),
            Self::Addresses { .. } => (0, KEY_ADDRESS, size_of::<Ipv4Addr>()),
            Self::Addresses6 { .. } => (0, KEY_ADDRESS_6, size_of::<Ipv6Addr>()),
            Self::Numbers { .. } => (SET_MAP, KEY_ADDRESS, size_of::<Ipv4Addr>()),
            Self::Verdicts { .. } => (SET_MAP, KEY_NUMBER, size_of::<u32>()),
            Self::Links { .. } => (0, KEY_LINK_NAME, LINK_NAME_BYTES),
        }
    }

    /// The attributes that create it in a table; `id` must be unique within the transaction.
    pub fn attributes(&self, table: &str, id: u32) -> Attributes {
        const SIZE: u16 = 1;
        let (flags, key, key_bytes) = self.layout();
        let what = Attributes::new()
            .text(1, table)
            .text(2, self.name())
            .network_number(3, flags)
            .network_number(4, key)
            .network_number(5, u32::try_from(key_bytes).expect("short"))
            .network_number(10, id);
        match self {
            Self::Numbers { .. } => what.network_number(6, KEY_NUMBER).network_number(7, size_of::<u32>() as u32),
            Self::Verdicts { .. } => what.network_number(6, VERDICTS),
            Self::Counts { .. } | Self::Shares { .. } => {
                what.nest(9, Attributes::new().network_number(SIZE, COUNTED_MAX))
            }
            _ => what,
        }
    }

    /// Its initial elements, if it has any.
    pub fn elements(&self) -> Option<Attributes> {
        match self {
            Self::Ranges { ranges, .. } => {
                range_elements(ranges.iter().map(|(first, last)| (first.octets(), last.octets())))
            }
            Self::Ranges6 { ranges, .. } => {
                range_elements(ranges.iter().map(|(first, last)| (first.octets(), last.octets())))
            }
            Self::Links { links, .. } => link_elements(links),
            _ => None,
        }
    }
}

/// An element of a set, or of a map with a value.
pub fn element(key: &[u8], value: Option<Attributes>) -> Attributes {
    let what = Attributes::new().nest(1, Attributes::new().with(1, key));
    match value {
        Some(value) => what.nest(2, value),
        None => what,
    }
}

/// Elements of a set of addresses.
pub fn address_elements(addresses: &[IpAddr]) -> Attributes {
    addresses.iter().fold(Attributes::new(), |list, address| match address {
        IpAddr::V4(key) => list.nest(1, element(&key.octets(), None)),
        IpAddr::V6(key) => list.nest(1, element(&key.octets(), None)),
    })
}

/// Elements of ranges of first and last addresses. The kernel takes each range as two elements: its
/// first address, and the address after its last, flagged as an end. A range up to the highest
/// address has no end.
fn range_elements<const BYTES: usize>(
    ranges: impl ExactSizeIterator<Item = ([u8; BYTES], [u8; BYTES])>,
) -> Option<Attributes> {
    let element = |list: Attributes, key: &[u8], flags: u32| {
        list.nest(1, Attributes::new().nest(1, Attributes::new().with(1, key)).network_number(3, flags))
    };
    let is_empty = ranges.len() == 0;
    let list = ranges.fold(Attributes::new(), |list, (first, last)| {
        let list = element(list, &first, 0);
        match next(last) {
            Some(end) => element(list, &end, ELEMENT_ENDS_INTERVAL),
            None => list,
        }
    });
    (!is_empty).then_some(list)
}

/// The next address; `None` after the highest.
fn next<const BYTES: usize>(mut address: [u8; BYTES]) -> Option<[u8; BYTES]> {
    for byte in address.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(address);
        }
    }
    None
}

fn link_elements(links: &[String]) -> Option<Attributes> {
    let list = links.iter().fold(Attributes::new(), |list, name| {
        let (mut key, length) = ([0; LINK_NAME_BYTES], name.len().min(LINK_NAME_BYTES - 1));
        key[..length].copy_from_slice(&name.as_bytes()[..length]);
        list.nest(1, element(&key, None))
    });
    (!links.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Message, attributes};

    #[test]
    fn a_range_up_to_the_highest_address_has_no_end() {
        let elements = |last: [u8; 4]| {
            let list = range_elements([([240, 0, 0, 0], last)].into_iter()).expect("one");
            let bytes = Message::new(0, 0, &[], list).numbered(1);
            attributes(&bytes[16..]).len()
        };
        assert_eq!((elements([255, 255, 255, 255]), elements([241, 0, 0, 0])), (1, 2));
        assert!(range_elements::<4>([].into_iter()).is_none());
        assert_eq!((next([1, 255]), next([255, 255])), (Some([2, 0]), None));
    }
}
