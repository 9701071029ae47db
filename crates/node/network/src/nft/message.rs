//! Messages of nf_tables (linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h): types and
//! headers.

use crate::netlink::{Attributes, Message};

/// Types of messages (linux/netfilter/nf_tables.h), all of the subsystem nf_tables.
pub const NEW_TABLE: u16 = 0;
pub const GET_TABLE: u16 = 1;
pub const DELETE_TABLE: u16 = 2;
pub const NEW_CHAIN: u16 = 3;
pub const GET_CHAIN: u16 = 4;
pub const DELETE_CHAIN: u16 = 5;
pub const NEW_RULE: u16 = 6;
pub const DELETE_RULE: u16 = 8;
pub const NEW_SET: u16 = 9;
pub const DELETE_SET: u16 = 11;
pub const NEW_SET_ELEMENT: u16 = 12;
pub const DELETE_SET_ELEMENT: u16 = 14;
/// Begins and ends a transaction (linux/netfilter/nfnetlink.h).
pub const BEGIN: u16 = 0x10;
pub const END: u16 = 0x11;

/// A message to nf_tables about tables of all families of IP.
pub fn message(kind: u16, flags: i32, attributes: Attributes) -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | kind;
    Message::new(kind, flags, &fixed(libc::NFPROTO_INET, 0), attributes)
}

/// nfgenmsg: family, version, a number.
pub fn fixed(family: i32, number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [family as u8, 0, high, low]
}
