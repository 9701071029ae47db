//! Changes of the packet rules that happen together or not at all. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::expression::{Rule, ask_chain};
use crate::netlink::{Attributes, Message, attributes};

/// Types of messages (linux/netfilter/nf_tables.h), all of the subsystem nf_tables.
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const DELETE_SET: u16 = 11;
const NEW_SET_ELEMENT: u16 = 12;
const DELETE_SET_ELEMENT: u16 = 14;
/// Begins and ends a transaction (linux/netfilter/nfnetlink.h).
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// Flags of sets.
const SET_CONSTANT: u32 = 2;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const SET_EVALUATED: u32 = 32;
const ELEMENT_ENDS_INTERVAL: u32 = 1;
/// What `nft` shows keys as: addresses, ports, numbers, names of links.
const KEY_ADDRESS: u32 = 7;
const KEY_ADDRESS_6: u32 = 8;
const KEY_PORT: u32 = 13;
const KEY_NUMBER: u32 = 19;
const KEY_LINK_NAME: u32 = 41;
/// Type of values that are verdicts.
const VERDICTS: u32 = 0xffff_ff00;
/// Bytes of the name of a link, NULs included.
const LINK_NAME_BYTES: usize = 16;
/// Sources that connections are counted for at once.
const COUNTED_MAX: u32 = 1 << 20;
/// Deletes connections (linux/netfilter/nfnetlink_conntrack.h).
const DELETE_CONNECTIONS: u16 = (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8 | 2;

/// Where a chain is asked.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// What it does there.
    pub kind: Kind,
    /// Where: `NF_INET_PRE_ROUTING`…
    pub place: i32,
    /// Before those with a higher number.
    pub priority: i32,
}

/// What a chain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lets packets through or not.
    Filter,
    /// Changes where they come from or go to.
    Nat,
}

/// Rules in order; without a hook, others go to it. What no rule decides goes on its way.
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it is asked.
    pub hook: Option<Hook>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// Values that rules look up.
pub enum Set<'a> {
    /// Ranges of addresses, in order and apart from each other.
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
    /// Counters by source, which the kernel keeps.
    Counts {
        /// Its name.
        name: &'a str,
    },
    /// Counters of shares of all connections, by source port.
    Shares {
        /// Its name.
        name: &'a str,
    },
    /// Addresses that come and go.
    Addresses {
        /// Its name.
        name: &'a str,
    },
    /// The same of IPv6.
    Addresses6 {
        /// Its name.
        name: &'a str,
    },
    /// Numbers by address.
    Numbers {
        /// Its name.
        name: &'a str,
    },
    /// Verdicts by number.
    Verdicts {
        /// Its name.
        name: &'a str,
    },
    /// Names of links; what it has already stays.
    Links {
        /// Its name.
        name: &'a str,
        /// The names.
        links: &'a [String],
    },
}

/// Changes to one table.
pub struct Transaction<'a> {
    table: &'a str,
    messages: Vec<Message>,
}

impl<'a> Transaction<'a> {
    /// None yet.
    pub fn on(table: &'a str) -> Self {
        let begin =
            Message::new(BEGIN, 0, &fixed(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u16), Attributes::new());
        Self { table, messages: vec![begin] }
    }

    fn with(mut self, kind: u16, flags: i32, attributes: Attributes) -> Self {
        self.messages.push(message(kind, flags | libc::NLM_F_ACK, attributes));
        self
    }

    /// Makes the table, unless it is there.
    pub fn table(self) -> Self {
        let name = Attributes::new().text(1, self.table);
        self.with(NEW_TABLE, libc::NLM_F_CREATE, name)
    }

    /// Removes the table with all that is in it.
    pub fn remove_table(self) -> Self {
        let name = Attributes::new().text(1, self.table);
        self.with(DELETE_TABLE, 0, name)
    }

    /// Makes a chain, unless it is there; chains that it goes to come before it.
    pub fn chain(self, chain: Chain<'_>) -> Self {
        let mut what = Attributes::new().text(1, self.table).text(3, chain.name);
        if let Some(hook) = chain.hook {
            let place = Attributes::new()
                .network_number(1, hook.place.cast_unsigned())
                .network_number(2, hook.priority.cast_unsigned());
            let kind = if hook.kind == Kind::Filter { "filter" } else { "nat" };
            what = what.nest(4, place).network_number(5, libc::NF_ACCEPT.cast_unsigned()).text(7, kind);
        }
        let table = self.table;
        let made = self.with(NEW_CHAIN, libc::NLM_F_CREATE, what);
        chain.rules.into_iter().fold(made, |changes, rule| {
            let what = Attributes::new().text(1, table).text(2, chain.name).nest(4, rule.expressions());
            changes.with(NEW_RULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, what)
        })
    }

    /// Removes all rules of a chain.
    pub fn empty_chain(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, name);
        self.with(DELETE_RULE, 0, what)
    }

    /// Makes a set, unless it is there.
    pub fn set(self, set: &Set<'_>) -> Self {
        let (name, flags, key, key_bytes, elements) = match set {
            Set::Ranges { name, ranges } => {
                let elements = range_elements(ranges.iter().map(|(first, last)| (first.octets(), last.octets())));
                (*name, SET_CONSTANT | SET_INTERVAL, KEY_ADDRESS, size_of::<Ipv4Addr>(), elements)
            }
            Set::Ranges6 { name, ranges } => {
                let elements = range_elements(ranges.iter().map(|(first, last)| (first.octets(), last.octets())));
                (*name, SET_CONSTANT | SET_INTERVAL, KEY_ADDRESS_6, size_of::<Ipv6Addr>(), elements)
            }
            Set::Counts { name } => (*name, SET_EVALUATED, KEY_ADDRESS, size_of::<Ipv4Addr>(), None),
            Set::Shares { name } => (*name, SET_EVALUATED, KEY_PORT, size_of::<u16>(), None),
            Set::Addresses { name } => (*name, 0, KEY_ADDRESS, size_of::<Ipv4Addr>(), None),
            Set::Addresses6 { name } => (*name, 0, KEY_ADDRESS_6, size_of::<Ipv6Addr>(), None),
            Set::Numbers { name } => (*name, SET_MAP, KEY_ADDRESS, size_of::<Ipv4Addr>(), None),
            Set::Verdicts { name } => (*name, SET_MAP, KEY_NUMBER, size_of::<u32>(), None),
            Set::Links { name, links } => (*name, 0, KEY_LINK_NAME, LINK_NAME_BYTES, link_elements(links)),
        };
        let id = u32::try_from(self.messages.len()).expect("few changes");
        let mut what = Attributes::new()
            .text(1, self.table)
            .text(2, name)
            .network_number(3, flags)
            .network_number(4, key)
            .network_number(5, u32::try_from(key_bytes).expect("short"))
            .network_number(10, id);
        what = match set {
            Set::Numbers { .. } => what.network_number(6, KEY_NUMBER).network_number(7, size_of::<u32>() as u32),
            Set::Verdicts { .. } => what.network_number(6, VERDICTS),
            _ => what,
        };
        if flags == SET_EVALUATED {
            const SIZE: u16 = 1;
            what = what.nest(9, Attributes::new().network_number(SIZE, COUNTED_MAX));
        }
        let table = self.table;
        let made = self.with(NEW_SET, libc::NLM_F_CREATE, what);
        match elements {
            Some(elements) => {
                let what = Attributes::new().text(1, table).text(2, name).nest(3, elements);
                made.with(NEW_SET_ELEMENT, libc::NLM_F_CREATE, what)
            }
            None => made,
        }
    }

    /// Removes a set that no rule uses.
    pub fn remove_set(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, name);
        self.with(DELETE_SET, 0, what)
    }

    /// Removes a chain that no other asks, with its rules.
    pub fn remove_chain(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(3, name);
        self.with(DELETE_CHAIN, 0, what)
    }

    /// Adds addresses to a set of such.
    pub fn add_addresses(self, set: &str, addresses: &[IpAddr]) -> Self {
        let list = address_elements(addresses);
        if addresses.is_empty() { self } else { self.elements(NEW_SET_ELEMENT, set, list) }
    }

    /// Takes addresses out of a set of such.
    pub fn remove_addresses(self, set: &str, addresses: &[IpAddr]) -> Self {
        let list = address_elements(addresses);
        if addresses.is_empty() { self } else { self.elements(DELETE_SET_ELEMENT, set, list) }
    }

    /// Gives an address a number.
    pub fn add_number(self, set: &str, address: Ipv4Addr, number: u32) -> Self {
        let value = Attributes::new().with(1, &number.to_ne_bytes());
        let list = Attributes::new().nest(1, element(&address.octets(), Some(value)));
        self.elements(NEW_SET_ELEMENT, set, list)
    }

    /// Takes its number from an address.
    pub fn remove_number(self, set: &str, address: Ipv4Addr) -> Self {
        self.elements(DELETE_SET_ELEMENT, set, Attributes::new().nest(1, element(&address.octets(), None)))
    }

    /// Gives a number the verdict to ask a chain.
    pub fn add_verdict(self, set: &str, number: u32, chain: &str) -> Self {
        let list = Attributes::new().nest(1, element(&number.to_ne_bytes(), Some(ask_chain(chain))));
        self.elements(NEW_SET_ELEMENT, set, list)
    }

    /// Takes its verdict from a number.
    pub fn remove_verdict(self, set: &str, number: u32) -> Self {
        self.elements(DELETE_SET_ELEMENT, set, Attributes::new().nest(1, element(&number.to_ne_bytes(), None)))
    }

    fn elements(self, kind: u16, set: &str, list: Attributes) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, set).nest(3, list);
        let flags = if kind == NEW_SET_ELEMENT { libc::NLM_F_CREATE } else { 0 };
        self.with(kind, flags, what)
    }

    /// The messages to be sent together, of which the kernel answers one: the last. A failure is
    /// answered in any case.
    pub fn messages_acknowledged_once(mut self) -> Vec<Message> {
        let last = self.messages.pop();
        self.messages = self.messages.into_iter().map(Message::unacknowledged).collect();
        self.messages.extend(last);
        self.messages()
    }

    /// The messages to be sent together.
    pub fn messages(mut self) -> Vec<Message> {
        let end = Message::new(END, 0, &fixed(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u16), Attributes::new());
        self.messages.push(end);
        self.messages
    }
}

/// Asks whether a table is there: the answer is an acknowledgement or `ENOENT`.
pub fn find_table(name: &str) -> Message {
    message(GET_TABLE, libc::NLM_F_ACK, Attributes::new().text(1, name))
}

/// Asks for all chains of all families.
pub fn list_chains() -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | GET_CHAIN;
    Message::new(kind, libc::NLM_F_DUMP, &fixed(libc::AF_UNSPEC, 0), Attributes::new())
}

/// A chain in a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChainEntry {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it is asked about packets that are passed on, and drops those that no rule is for.
    pub drops_forwarded: bool,
    /// Whether it does so for IPv6 alone.
    pub drops_forwarded_6: bool,
}

/// Reads an entry of the list of chains: its table, name, hook (whose first attribute says where it
/// is) and policy.
pub fn read_chain(body: &[u8]) -> Option<ChainEntry> {
    let (family, mut entry) = (i32::from(*body.first()?), ChainEntry::default());
    let (mut place, mut policy) = (None, libc::NF_ACCEPT);
    let number = |value: &[u8]| Some(i32::from_be_bytes(value.try_into().ok()?));
    let text = |value: &[u8]| String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned();
    for (kind, value) in attributes(body.get(size_of::<u32>()..)?) {
        match kind {
            1 => entry.table = text(value),
            3 => entry.name = text(value),
            4 => {
                place = attributes(value).into_iter().find(|(kind, _)| *kind == 1).and_then(|(_, value)| number(value))
            }
            5 => policy = number(value)?,
            _ => {}
        }
    }
    let drops = place == Some(libc::NF_INET_FORWARD) && policy == libc::NF_DROP;
    entry.drops_forwarded = drops && [libc::NFPROTO_IPV4, libc::NFPROTO_INET].contains(&family);
    entry.drops_forwarded_6 = drops && family == libc::NFPROTO_IPV6;
    Some(entry)
}

/// Makes the kernel forget the connections that an address began.
pub fn forget_connections(source: Ipv4Addr) -> Message {
    const TUPLE_BEGUN_BY: u16 = 1;
    const TUPLE_IP: u16 = 1;
    const IP_SOURCE: u16 = 1;
    const FILTER: u16 = 25;
    const FILTER_BEGUN_BY: u16 = 1;
    const FILTER_ANSWERED_BY: u16 = 2;
    /// Of the fields of a tuple, only the source address counts.
    const ONLY_SOURCE: u32 = 1;
    let ip = Attributes::new().with(IP_SOURCE, &source.octets());
    let filter = Attributes::new().number(FILTER_BEGUN_BY, ONLY_SOURCE).number(FILTER_ANSWERED_BY, 0);
    let which = Attributes::new().nest(TUPLE_BEGUN_BY, Attributes::new().nest(TUPLE_IP, ip)).nest(FILTER, filter);
    Message::new(DELETE_CONNECTIONS, libc::NLM_F_ACK, &fixed(libc::AF_INET, 0), which)
}

fn message(kind: u16, flags: i32, attributes: Attributes) -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | kind;
    Message::new(kind, flags, &fixed(libc::NFPROTO_INET, 0), attributes)
}

/// nfgenmsg: family, version, a number.
fn fixed(family: i32, number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [family as u8, 0, high, low]
}

/// An element of a set, with its value where the set has such.
fn element(key: &[u8], value: Option<Attributes>) -> Attributes {
    let what = Attributes::new().nest(1, Attributes::new().with(1, key));
    match value {
        Some(value) => what.nest(2, value),
        None => what,
    }
}

/// Elements of a set of addresses.
fn address_elements(addresses: &[IpAddr]) -> Attributes {
    addresses.iter().fold(Attributes::new(), |list, address| match address {
        IpAddr::V4(key) => list.nest(1, element(&key.octets(), None)),
        IpAddr::V6(key) => list.nest(1, element(&key.octets(), None)),
    })
}

/// An interval, of first and last address, is an element that begins it and one, behind its last
/// address, that ends it; the highest needs no end.
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

/// The address behind another; none behind the highest.
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
        let mut key = [0; LINK_NAME_BYTES];
        key[..name.len().min(LINK_NAME_BYTES - 1)]
            .copy_from_slice(&name.as_bytes()[..name.len().min(LINK_NAME_BYTES - 1)]);
        list.nest(1, Attributes::new().nest(1, Attributes::new().with(1, &key)))
    });
    (!links.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_drop_what_is_passed_on_are_found() {
        let chain = |family, place: i32, policy: i32| {
            let hook = Attributes::new().network_number(1, place.cast_unsigned());
            let what = Attributes::new().text(1, "filter").text(3, "FORWARD").nest(4, hook);
            let what = what.network_number(5, policy.cast_unsigned());
            Message::new(0, 0, &fixed(family, 0), what).numbered(1)[16..].to_vec()
        };
        let drops = |family, place, policy| read_chain(&chain(family, place, policy)).expect("whole").drops_forwarded;
        assert!(drops(libc::NFPROTO_IPV4, libc::NF_INET_FORWARD, libc::NF_DROP));
        assert!(!drops(libc::NFPROTO_IPV6, libc::NF_INET_FORWARD, libc::NF_DROP));
        let of_ipv6 = read_chain(&chain(libc::NFPROTO_IPV6, libc::NF_INET_FORWARD, libc::NF_DROP)).expect("whole");
        assert!(of_ipv6.drops_forwarded_6);
        assert!(!drops(libc::NFPROTO_INET, libc::NF_INET_FORWARD, libc::NF_ACCEPT));
        assert!(!drops(libc::NFPROTO_INET, libc::NF_INET_LOCAL_IN, libc::NF_DROP));
        assert!(read_chain(&[]).is_none());
    }

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
