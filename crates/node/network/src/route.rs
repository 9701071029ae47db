//! Messages about links, addresses and routes (rtnetlink(7)), and what the kernel's lists of them
//! say. Pure.

use std::net::Ipv4Addr;
use std::os::fd::RawFd;

use crate::netlink::{Attributes, Message, attributes, u32_at};
use crate::subnet::Subnet;

/// Kind of link, and the attribute of its data that describes the other end (linux/veth.h).
const VETH: &str = "veth";
const VETH_INFO_PEER: u16 = 1;
/// Settings of a link for one family (linux/if_link.h).
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
/// Numbers of settings (linux/ip.h).
const IPV4_DEVCONF_FORWARDING: u16 = 1;
const IPV4_DEVCONF_ACCEPT_REDIRECTS: u16 = 4;
const IPV4_DEVCONF_SEND_REDIRECTS: u16 = 6;
/// State of a link that carries packets (linux/if.h).
const OPERATES: u8 = 6;
/// Who made a route, as `ip route` shows it: a number that no other program has
/// (linux/rtnetlink.h).
pub const ROUTE_ORIGIN: u8 = 83;
/// The fixed parts' lengths: ifinfomsg, ifaddrmsg, rtmsg.
const LINK_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
const ROUTE_BYTES: usize = 12;
/// Answered, and it must not be there yet.
pub const CREATE: i32 = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// Both ends of a link have this address: packets are for whoever gets them, and nobody needs to
/// ask who has one.
const LINK_ADDRESS: [u8; 6] = [0x02, b's', b'm', b'p', 0, 1];

/// ifinfomsg: the link by index, and the flags that it is to have.
fn link(index: u32, flags: i32) -> [u8; LINK_BYTES] {
    let mut fixed = [0; LINK_BYTES];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

/// Leaves it to the kernel which index a link has.
pub const ANY_INDEX: u32 = 0;

/// Makes a link from here to the namespace, with an index for both ends. Both are down: the kernel
/// brings none up that has no other end yet. Fails where the index is another's.
pub fn make_pair(outer: &str, inner: &str, index: u32, group: u32, namespace: RawFd) -> Message {
    // One queue each: the kernel's own choice is one for every processor it could ever have.
    let end = |name: &str| {
        Attributes::new()
            .text(libc::IFLA_IFNAME, name)
            .with(libc::IFLA_ADDRESS, &LINK_ADDRESS)
            .number(libc::IFLA_NUM_TX_QUEUES, 1)
            .number(libc::IFLA_NUM_RX_QUEUES, 1)
    };
    let there = end(inner).number(libc::IFLA_NET_NS_FD, namespace.cast_unsigned());
    let there = Attributes::new().nest_after(VETH_INFO_PEER, &link(index, 0), there);
    let kind = Attributes::new().text(libc::IFLA_INFO_KIND, VETH).nest(libc::IFLA_INFO_DATA, there);
    let here = end(outer).number(libc::IFLA_GROUP, group).nest(libc::IFLA_LINKINFO, kind);
    Message::new(libc::RTM_NEWLINK, CREATE, &link(index, 0), here)
}

/// A link that a change is about.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// By its index.
    Index(u32),
    /// By its name: of a link that may not be there, since another could have its index.
    Name(&'a str),
}

impl Which<'_> {
    /// The fixed part, and the attributes that come after it.
    fn parts(self, flags: i32) -> ([u8; LINK_BYTES], Attributes) {
        match self {
            Self::Index(index) => (link(index, flags), Attributes::new()),
            Self::Name(name) => (link(0, flags), Attributes::new().text(libc::IFLA_IFNAME, name)),
        }
    }
}

/// Makes packets that come in by a link be passed on, where there is another to pass them on to,
/// and gives it no IPv6 address when it comes up. Settings are files too, but finding one takes
/// longer the more namespaces there are.
pub fn configure(which: Which<'_>) -> Message {
    let v4 = Attributes::new()
        .number(IPV4_DEVCONF_FORWARDING, 1)
        .number(IPV4_DEVCONF_ACCEPT_REDIRECTS, 0)
        .number(IPV4_DEVCONF_SEND_REDIRECTS, 0);
    let v6 = Attributes::new().with(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
    let families = Attributes::new()
        .nest(libc::AF_INET as u16, Attributes::new().nest(IFLA_INET_CONF, v4))
        .nest(libc::AF_INET6 as u16, v6);
    let (fixed, named) = which.parts(0);
    Message::new(libc::RTM_SETLINK, libc::NLM_F_ACK, &fixed, named.nest(libc::IFLA_AF_SPEC, families))
}

/// Lets a link carry packets, and nobody on it ask for addresses.
pub fn bring_up(which: Which<'_>) -> Message {
    let (fixed, named) = which.parts(libc::IFF_UP | libc::IFF_NOARP);
    Message::new(libc::RTM_SETLINK, libc::NLM_F_ACK, &fixed, named)
}

/// Removes all links of a group at once, which takes the kernel no longer than one.
pub fn remove_group(group: u32) -> Message {
    let which = Attributes::new().number(libc::IFLA_GROUP, group);
    Message::new(libc::RTM_DELLINK, libc::NLM_F_ACK, &link(0, 0), which)
}

/// Asks for a link.
pub fn find_link(index: u32) -> Message {
    Message::new(libc::RTM_GETLINK, 0, &link(index, 0), Attributes::new())
}

/// Asks for all links.
pub fn list_links() -> Message {
    Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &link(0, 0), Attributes::new())
}

/// A link in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct LinkEntry {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its group, 0 when it has none.
    pub group: u32,
    /// Whether it carries packets: the kernel has noticed that the other end is up.
    pub is_running: bool,
}

/// Reads an entry of the list of links.
pub fn read_link(body: &[u8]) -> Option<LinkEntry> {
    let mut entry = LinkEntry { index: u32_at(body, 4)?, name: String::new(), group: 0, is_running: false };
    for (kind, value) in attributes(body.get(LINK_BYTES..)?) {
        match kind {
            libc::IFLA_IFNAME => entry.name = text(value),
            libc::IFLA_GROUP => entry.group = u32_at(value, 0)?,
            libc::IFLA_OPERSTATE => entry.is_running = value == [OPERATES],
            _ => {}
        }
    }
    Some(entry)
}

/// ifaddrmsg and its attributes: one address by itself.
fn address(kind: u16, flags: i32, index: u32, address: Ipv4Addr, label: Option<&str>) -> Message {
    let mut fixed = [0; ADDRESS_BYTES];
    fixed[..2].copy_from_slice(&[libc::AF_INET as u8, 32]);
    fixed[4..].copy_from_slice(&index.to_ne_bytes());
    let mut what =
        Attributes::new().with(libc::IFA_LOCAL, &address.octets()).with(libc::IFA_ADDRESS, &address.octets());
    if let Some(label) = label {
        what = what.text(libc::IFA_LABEL, label);
    }
    Message::new(kind, flags, &fixed, what)
}

/// Gives a link an address. The label, by which it can be known again, begins with the link's name
/// and a colon.
pub fn add_address(index: u32, which: Ipv4Addr, label: Option<&str>) -> Message {
    address(libc::RTM_NEWADDR, CREATE, index, which, label)
}

/// Takes an address from a link.
pub fn remove_address(index: u32, which: Ipv4Addr) -> Message {
    address(libc::RTM_DELADDR, libc::NLM_F_ACK, index, which, None)
}

/// Asks for all IPv4 addresses.
pub fn list_addresses() -> Message {
    let mut fixed = [0; ADDRESS_BYTES];
    fixed[0] = libc::AF_INET as u8;
    Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &fixed, Attributes::new())
}

/// An address in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressEntry {
    /// The link that has it.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Its label; the link's name when it was given none.
    pub label: String,
}

/// Reads an entry of the list of addresses.
pub fn read_address(body: &[u8]) -> Option<AddressEntry> {
    let (mut found, mut label) = (None, String::new());
    for (kind, value) in attributes(body.get(ADDRESS_BYTES..)?) {
        match kind {
            libc::IFA_LOCAL => found = v4(value),
            libc::IFA_LABEL => label = text(value),
            _ => {}
        }
    }
    Some(AddressEntry { index: u32_at(body, 4)?, address: found?, label })
}

/// rtmsg and its attributes: where a range goes.
fn route(kind: u16, flags: i32, to: Subnet, is: u8, scope: u8, link: Option<u32>) -> Message {
    let fixed = [libc::AF_INET as u8, to.prefix_bits(), 0, 0, libc::RT_TABLE_MAIN, ROUTE_ORIGIN, scope, is, 0, 0, 0, 0];
    let mut what = Attributes::new();
    if to.prefix_bits() > 0 {
        what = what.with(libc::RTA_DST, &to.first().octets());
    }
    if let Some(index) = link {
        what = what.number(libc::RTA_OIF, index);
    }
    Message::new(kind, flags, &fixed, what)
}

/// Sends an address to a link, in place of where it went before.
pub fn send_to_link(to: Ipv4Addr, index: u32) -> Message {
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    route(libc::RTM_NEWROUTE, flags, Subnet::of(to, 32), libc::RTN_UNICAST, libc::RT_SCOPE_LINK, Some(index))
}

/// Sends everything to a link.
pub fn send_all_to_link(index: u32) -> Message {
    let everything = Subnet::of(Ipv4Addr::UNSPECIFIED, 0);
    route(libc::RTM_NEWROUTE, CREATE, everything, libc::RTN_UNICAST, libc::RT_SCOPE_LINK, Some(index))
}

/// Says that nothing of a range can be reached but what has a route of its own. Fails when there is
/// such a route.
pub fn claim(block: Subnet) -> Message {
    route(libc::RTM_NEWROUTE, CREATE, block, libc::RTN_UNREACHABLE, libc::RT_SCOPE_UNIVERSE, None)
}

/// Takes that back.
pub fn unclaim(block: Subnet) -> Message {
    route(libc::RTM_DELROUTE, libc::NLM_F_ACK, block, libc::RTN_UNREACHABLE, libc::RT_SCOPE_UNIVERSE, None)
}

/// Asks for all IPv4 routes, in all tables.
pub fn list_routes() -> Message {
    let mut fixed = [0; ROUTE_BYTES];
    fixed[0] = libc::AF_INET as u8;
    Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &fixed, Attributes::new())
}

/// A route in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to.
    pub to: Subnet,
    /// Whether it leads to other machines: neither to this one nor nowhere.
    pub is_unicast: bool,
    /// Whether it says that its range is a platform's.
    pub is_claim: bool,
    /// The links by which it goes.
    pub links: Vec<u32>,
}

/// Reads an entry of the list of routes.
pub fn read_route(body: &[u8]) -> Option<RouteEntry> {
    let (&bits, &origin, &is) = (body.get(1)?, body.get(5)?, body.get(7)?);
    let (mut to, mut links) = (Ipv4Addr::UNSPECIFIED, Vec::new());
    for (kind, value) in attributes(body.get(ROUTE_BYTES..)?) {
        match kind {
            libc::RTA_DST => to = v4(value)?,
            libc::RTA_OIF => links.push(u32_at(value, 0)?),
            libc::RTA_MULTIPATH => links.extend(next_hops(value)),
            _ => {}
        }
    }
    let is_claim = origin == ROUTE_ORIGIN && is == libc::RTN_UNREACHABLE;
    Some(RouteEntry { to: Subnet::of(to, bits), is_unicast: is == libc::RTN_UNICAST, is_claim, links })
}

/// The links of a route with several: rtnexthop is length, flags, hops, index.
fn next_hops(mut value: &[u8]) -> Vec<u32> {
    let mut links = Vec::new();
    while let (Some(length), Some(index)) = (value.get(..2), u32_at(value, 4)) {
        links.push(index);
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]])).max(8);
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    links
}

fn v4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a message, which has the same layout as an entry of the list.
    fn body(message: Message) -> Vec<u8> {
        message.numbered(1)[16..].to_vec()
    }

    #[test]
    fn entries_are_read() {
        let address = Ipv4Addr::new(10, 222, 0, 1);
        let entry = read_address(&body(add_address(1, address, Some("lo:x")))).expect("whole");
        assert_eq!(entry, AddressEntry { index: 1, address, label: "lo:x".to_owned() });

        let block = Subnet::of(address, 20);
        let claimed = read_route(&body(claim(block))).expect("whole");
        assert_eq!(claimed, RouteEntry { to: block, is_unicast: false, is_claim: true, links: vec![] });
        let all = read_route(&body(send_all_to_link(7))).expect("whole");
        assert_eq!((all.to.to_string().as_str(), all.is_unicast, all.links), ("0.0.0.0/0", true, vec![7]));

        let pair = read_link(&body(make_pair("smp1", "eth0", 7, 99, 3))).expect("whole");
        assert_eq!(pair, LinkEntry { index: 7, name: "smp1".to_owned(), group: 99, is_running: false });
        assert!(read_link(&[0; 3]).is_none() && read_route(&[]).is_none() && read_address(&[0; 9]).is_none());
    }

    #[test]
    fn the_links_of_a_route_with_several_are_found() {
        let hop = |index: u32| [&[8, 0, 0, 0][..], &index.to_ne_bytes()].concat();
        assert_eq!(next_hops(&[hop(3), hop(4)].concat()), [3, 4]);
        assert!(next_hops(&[0; 7]).is_empty());
    }
}
