//! Messages about tracked connections (linux/netfilter/nfnetlink_conntrack.h). Pure.

use std::net::Ipv4Addr;

use super::message::fixed;
use crate::netlink::{Attributes, Message};

/// Type of the message that deletes connections.
const DELETE_CONNECTIONS: u16 = (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8 | 2;

/// Deletes the tracked connections that an address opened.
pub fn forget_connections(source: Ipv4Addr) -> Message {
    const TUPLE_BEGUN_BY: u16 = 1;
    const TUPLE_IP: u16 = 1;
    const IP_SOURCE: u16 = 1;
    const FILTER: u16 = 25;
    const FILTER_BEGUN_BY: u16 = 1;
    const FILTER_ANSWERED_BY: u16 = 2;
    /// Filter a tuple by its source address only.
    const ONLY_SOURCE: u32 = 1;
    let ip = Attributes::new().with(IP_SOURCE, &source.octets());
    let filter = Attributes::new().number(FILTER_BEGUN_BY, ONLY_SOURCE).number(FILTER_ANSWERED_BY, 0);
    let which = Attributes::new().nest(TUPLE_BEGUN_BY, Attributes::new().nest(TUPLE_IP, ip)).nest(FILTER, filter);
    Message::new(DELETE_CONNECTIONS, libc::NLM_F_ACK, &fixed(libc::AF_INET, 0), which)
}
