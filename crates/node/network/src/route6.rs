//! Messages about addresses and routes of IPv6 (rtnetlink(7)), and what the kernel's list of routes
//! says. Pure.

use std::net::Ipv6Addr;

use crate::netlink::{Attributes, Message, attributes, u32_at};
use crate::route::{CREATE, ROUTE_ORIGIN};

/// Bits of one address.
const WHOLE: u8 = 128;
/// The fixed parts' lengths: ifaddrmsg, rtmsg.
const ADDRESS_BYTES: usize = 8;
const ROUTE_BYTES: usize = 12;
/// Used at once: nobody else can have it (linux/if_addr.h).
const NOT_LOOKED_FOR: u8 = 0x02;

/// Gives a link an address.
pub fn add_address(index: u32, which: Ipv6Addr) -> Message {
    let mut fixed = [0; ADDRESS_BYTES];
    fixed[..3].copy_from_slice(&[libc::AF_INET6 as u8, WHOLE, NOT_LOOKED_FOR]);
    fixed[4..].copy_from_slice(&index.to_ne_bytes());
    let what = Attributes::new().with(libc::IFA_LOCAL, &which.octets()).with(libc::IFA_ADDRESS, &which.octets());
    Message::new(libc::RTM_NEWADDR, CREATE, &fixed, what)
}

/// rtmsg and its attributes: what goes to a link.
fn route(flags: i32, to: Option<Ipv6Addr>, index: u32, (table, is): (u8, u8)) -> Message {
    let bits = if to.is_some() { WHOLE } else { 0 };
    let scope = libc::RT_SCOPE_UNIVERSE;
    let fixed: [u8; ROUTE_BYTES] = [libc::AF_INET6 as u8, bits, 0, 0, table, ROUTE_ORIGIN, scope, is, 0, 0, 0, 0];
    let what = to.map_or_else(Attributes::new, |to| Attributes::new().with(libc::RTA_DST, &to.octets()));
    Message::new(libc::RTM_NEWROUTE, flags, &fixed, what.number(libc::RTA_OIF, index))
}

/// Sends an address to a link, in place of where it went before.
pub fn send_to_link(to: Ipv6Addr, index: u32) -> Message {
    route(
        libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        Some(to),
        index,
        (libc::RT_TABLE_MAIN, libc::RTN_UNICAST),
    )
}

/// Takes what comes for an address of a link. The kernel has such a route for each, but makes it a
/// while after the address: the first answers would find nobody.
pub fn take(to: Ipv6Addr, index: u32) -> Message {
    route(CREATE, Some(to), index, (libc::RT_TABLE_LOCAL, libc::RTN_LOCAL))
}

/// Sends everything to a link.
pub fn send_all_to_link(index: u32) -> Message {
    route(CREATE, None, index, (libc::RT_TABLE_MAIN, libc::RTN_UNICAST))
}

/// Asks for all IPv6 routes, in all tables.
pub fn list_routes() -> Message {
    let mut fixed = [0; ROUTE_BYTES];
    fixed[0] = libc::AF_INET6 as u8;
    Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &fixed, Attributes::new())
}

/// A route in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteEntry6 {
    /// Bits of its range.
    pub prefix_bits: u8,
    /// Whether it leads to other machines: neither to this one nor nowhere.
    pub is_unicast: bool,
    /// The link by which it goes; of one with several, the kernel lists each by itself.
    pub link: Option<u32>,
}

/// Reads an entry of the list of routes.
pub fn read_route(body: &[u8]) -> Option<RouteEntry6> {
    let (&prefix_bits, &is) = (body.get(1)?, body.get(7)?);
    let all = attributes(body.get(ROUTE_BYTES..)?);
    let link = all.into_iter().find(|(kind, _)| *kind == libc::RTA_OIF).and_then(|(_, value)| u32_at(value, 0));
    Some(RouteEntry6 { prefix_bits, is_unicast: is == libc::RTN_UNICAST, link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let read = |message: Message| read_route(&message.numbered(1)[16..]).expect("whole");
        let all = RouteEntry6 { prefix_bits: 0, is_unicast: true, link: Some(7) };
        assert_eq!(read(send_all_to_link(7)), all);
        assert_eq!(read(send_to_link(Ipv6Addr::LOCALHOST, 7)), RouteEntry6 { prefix_bits: 128, ..all });
        assert!(read_route(&[]).is_none() && read_route(&[0; 11]).is_none());
    }
}
