//! An egress list in the form of sets and rules: entries grouped by ports. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::Egress;
use types::egress::{Host, NamePattern};

use crate::prefix::joined;
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// A list with its number.
#[derive(Debug)]
pub struct List {
    /// Its number among those of the platform.
    pub number: u32,
    /// Name of its chain.
    pub chain: String,
    /// Name of its chain for IPv6, where instances have that.
    pub chain_6: String,
    /// Whether instances have IPv6.
    pub has_v6: bool,
    /// Its entries.
    pub groups: Vec<Group>,
}

/// The entries of a list with the same ports.
#[derive(Debug)]
pub struct Group {
    /// First and last port; `None` for all ports and ICMP echo.
    pub ports: Option<(u16, u16)>,
    /// Ranges of IPv4 addresses, sorted and disjoint.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Ranges of IPv6 addresses, sorted and disjoint.
    pub ranges_6: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// Names whose resolved addresses are allowed.
    pub names: Vec<NamePattern>,
    /// Name of the set of the ranges, where there are some.
    pub ranges_set: String,
    /// Name of the set of the names' addresses, where there are names.
    pub names_set: String,
    /// Names of these sets for IPv6.
    pub ranges_6_set: String,
    pub names_6_set: String,
}

/// Entries with the same ports.
#[derive(Default)]
struct Hosts {
    ranges: Vec<Subnet>,
    ranges_6: Vec<Subnet6>,
    names: Vec<NamePattern>,
}

impl List {
    /// The list with this number; `has_v6` if instances have IPv6.
    pub fn new(number: u32, egress: &Egress, has_v6: bool) -> Self {
        let chain = format!("list-{number}");
        let mut by_ports: BTreeMap<Option<(u16, u16)>, Hosts> = BTreeMap::new();
        for destination in egress.destinations() {
            let Hosts { ranges, ranges_6, names } = by_ports.entry(destination.ports).or_default();
            match &destination.host {
                Host::Name(name) => names.push(name.clone()),
                Host::Range(range) => match range.first() {
                    IpAddr::V4(first) => ranges.push(Subnet::of(first, range.prefix_bits())),
                    IpAddr::V6(first) => ranges_6.push(Subnet6::of(first, range.prefix_bits())),
                },
            }
        }
        let group = |(index, (ports, Hosts { ranges, ranges_6, names }))| Group {
            ports,
            ranges: joined(&ranges),
            ranges_6: joined(&ranges_6),
            names,
            ranges_set: format!("{chain}-{index}-ranges"),
            names_set: format!("{chain}-{index}-names"),
            ranges_6_set: format!("{chain}-{index}-ranges-6"),
            names_6_set: format!("{chain}-{index}-names-6"),
        };
        let groups = by_ports.into_iter().enumerate().map(group).collect();
        Self { number, groups, chain_6: format!("{chain}-6"), chain, has_v6 }
    }

    /// Whether a name is on it.
    pub fn has_name(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group.has_name(name))
    }

    /// Whether it contains address ranges: then all names may be resolved, since they can point
    /// into a range.
    pub fn has_ranges(&self) -> bool {
        let has = |group: &Group| !group.ranges.is_empty() || self.has_v6 && !group.ranges_6.is_empty();
        self.groups.iter().any(has)
    }
}

impl Group {
    /// Whether a name is among its names.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_grouped_by_their_ports_and_ranges_joined() {
        let entries =
            ["10.0.0.0/8", "10.1.0.0/16", "db.example.com:5432", "192.0.2.1:5432", "*.example.org", "2001:db8::/32"];
        let list = List::new(7, &Egress::parse(&entries).expect("a list"), true);
        assert_eq!((list.chain.as_str(), list.groups.len()), ("list-7", 2));
        let [any, with_port] = &list.groups[..] else { panic!("{list:?}") };
        assert_eq!((any.ports, any.ranges.len(), any.ranges_6.len(), any.names.len()), (None, 1, 1, 1));
        assert_eq!((with_port.ports, with_port.ranges.len()), (Some((5432, 5432)), 1));
        assert!(with_port.has_name("db.example.com") && !any.has_name("db.example.com"));
        assert!(list.has_name("www.example.org") && !list.has_name("example.org") && list.has_ranges());
        let none = List::new(0, &Egress::parse(&["none"]).expect("a list"), true);
        let of_v6 = Egress::parse(&["2001:db8::/32"]).expect("a list");
        assert!(List::new(0, &of_v6, true).has_ranges() && !List::new(0, &of_v6, false).has_ranges());
        assert!(none.groups.is_empty() && !none.has_ranges());
    }
}
