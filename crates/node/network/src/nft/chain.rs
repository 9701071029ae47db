//! Chains and their hooks, and reading the list of chains in the kernel. Pure.

use super::message::{GET_CHAIN, fixed};
use super::rule::Rule;
use crate::netlink::{Attributes, Message, attributes};

/// The hook of a base chain.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// The type of the chain.
    pub kind: Kind,
    /// The hook: `NF_INET_PRE_ROUTING`…
    pub place: i32,
    /// Chains with lower priorities run first.
    pub priority: i32,
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Accepts or drops packets.
    Filter,
    /// Translates addresses.
    Nat,
}

/// Rules in order. A chain without a hook only runs when others jump to it. The policy is to
/// accept.
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hook, for a base chain.
    pub hook: Option<Hook>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A request for all chains of all families.
pub fn list_chains() -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | GET_CHAIN;
    Message::new(kind, libc::NLM_F_DUMP, &fixed(libc::AF_UNSPEC, 0), Attributes::new())
}

/// A chain in the kernel's list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChainEntry {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it hooks into forwarding of IPv4 and drops by policy.
    pub drops_forwarded: bool,
    /// The same for IPv6.
    pub drops_forwarded_6: bool,
}

/// Parses an entry of the list: table, name, hook (whose first attribute is the hook number) and
/// policy.
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
}
