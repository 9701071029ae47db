//! Matches of a rule: interfaces, addresses, protocols and ports, connection state.

use std::net::Ipv4Addr;

use super::{DESTINATION, DESTINATION_6, Family, NETWORK_HEADER, Rule, SOURCE, SOURCE_6, TRANSPORT_HEADER};
use crate::nft::expression::{AT_LEAST, AT_MOST, EQUAL, NOT_EQUAL, compare, ct, fib, lookup, meta, only_bits, payload};
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// What `meta` loads.
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
/// What `ct` loads.
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// Bits of a connection's state, and of its status.
const ESTABLISHED: u32 = 2;
const ESTABLISHED_OR_RELATED: u32 = ESTABLISHED | 4;
const NEW: u32 = 8;
const DESTINATION_CHANGED: u32 = 1 << 5;
/// What `fib` looks up, and by what.
const FIB_LINK: u32 = 1;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_BY_SOURCE: u32 = 1;
const FIB_BY_DESTINATION: u32 = 2;
const FIB_BY_LINK: u32 = 8;

impl Rule {
    /// Matches packets from interfaces whose names do not start with the prefix.
    pub fn enters_not_by(self, prefix: &str) -> Self {
        self.and([meta(META_IIFNAME), compare(NOT_EQUAL, prefix.as_bytes())])
    }

    /// Matches packets from interfaces whose names start with the prefix.
    pub fn enters_by(self, prefix: &str) -> Self {
        self.and([meta(META_IIFNAME), compare(EQUAL, prefix.as_bytes())])
    }

    /// Matches packets from interfaces named in a set.
    pub fn enters_by_one_of(self, set: &str) -> Self {
        self.and([meta(META_IIFNAME), lookup(set)])
    }

    /// Matches packets that leave by interfaces whose names do not start with the prefix.
    pub fn leaves_not_by(self, prefix: &str) -> Self {
        self.and([meta(META_OIFNAME), compare(NOT_EQUAL, prefix.as_bytes())])
    }

    /// Matches IPv4.
    pub fn v4(self) -> Self {
        self.and([meta(META_NFPROTO), compare(EQUAL, &[libc::NFPROTO_IPV4 as u8])])
    }

    /// Matches IPv6.
    pub fn v6(self) -> Self {
        self.and([meta(META_NFPROTO), compare(EQUAL, &[libc::NFPROTO_IPV6 as u8])])
    }

    /// Matches anything but IPv4.
    pub fn not_v4(self) -> Self {
        self.and([meta(META_NFPROTO), compare(NOT_EQUAL, &[libc::NFPROTO_IPV4 as u8])])
    }

    /// Matches a transport protocol by its number (`IPPROTO_TCP`…).
    pub fn protocol(self, number: i32) -> Self {
        self.and([meta(META_L4PROTO), compare(EQUAL, &[number as u8])])
    }

    /// Matches a destination port of TCP or UDP.
    pub fn port(self, protocol: i32, port: u16) -> Self {
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 2, 2), compare(EQUAL, &port.to_be_bytes())])
    }

    /// Matches destination ports from the first to the last, of any protocol but ICMP, which has no
    /// ports.
    pub fn port_between(self, first: u16, last: u16) -> Self {
        let without_ports = if self.family == Family::V4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 };
        self.and([
            meta(META_L4PROTO),
            compare(NOT_EQUAL, &[without_ports as u8]),
            payload(TRANSPORT_HEADER, 2, 2),
            compare(AT_LEAST, &first.to_be_bytes()),
            compare(AT_MOST, &last.to_be_bytes()),
        ])
    }

    /// Matches a source port of TCP or UDP.
    pub fn source_port(self, protocol: i32, port: u16) -> Self {
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 0, 2), compare(EQUAL, &port.to_be_bytes())])
    }

    /// Matches the first packet of a TCP connection: SYN without ACK.
    pub fn begins_tcp(self) -> Self {
        const FLAGS: u32 = 13;
        const SYN: u8 = 0x02;
        const SYN_OR_ACK: u8 = 0x12;
        self.and([payload(TRANSPORT_HEADER, FLAGS, 1), only_bits(&[SYN_OR_ACK]), compare(EQUAL, &[SYN])])
    }

    /// Matches a type of ICMP message, or of ICMPv6 in a rule of that family.
    pub fn icmp(self, kind: u8) -> Self {
        let protocol = if self.family == Family::V4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 };
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 0, 1), compare(EQUAL, &[kind])])
    }

    /// Matches a destination address.
    pub fn destination(self, address: Ipv4Addr) -> Self {
        self.and([payload(NETWORK_HEADER, DESTINATION, 4), compare(EQUAL, &address.octets())])
    }

    /// Matches a source address.
    pub fn source(self, address: Ipv4Addr) -> Self {
        self.and([payload(NETWORK_HEADER, SOURCE, 4), compare(EQUAL, &address.octets())])
    }

    /// Matches destination addresses in a set.
    pub fn destination_in(self, set: &str) -> Self {
        let address = match self.family {
            Family::V4 => payload(NETWORK_HEADER, DESTINATION, 4),
            Family::V6 => payload(NETWORK_HEADER, DESTINATION_6, 16),
        };
        self.and([address, lookup(set)])
    }

    /// Matches source addresses in an IPv4 range.
    pub fn source_in(self, range: Subnet) -> Self {
        self.and([
            payload(NETWORK_HEADER, SOURCE, 4),
            only_bits(&range.mask().octets()),
            compare(EQUAL, &range.first().octets()),
        ])
    }

    /// Matches source addresses in an IPv6 range.
    pub fn source_in_6(self, range: Subnet6) -> Self {
        self.and([
            payload(NETWORK_HEADER, SOURCE_6, 16),
            only_bits(&range.mask().octets()),
            compare(EQUAL, &range.first().octets()),
        ])
    }

    /// Matches spoofed packets: the host has no route to the source address through the interface
    /// that the packet arrived on (reverse path filter).
    pub fn forged_source(self) -> Self {
        self.and([fib(FIB_LINK, FIB_BY_SOURCE | FIB_BY_LINK), compare(EQUAL, &0_u32.to_ne_bytes())])
    }

    /// Matches destinations that are not unicast to another host: addresses of this host, broadcast
    /// and multicast.
    pub fn destination_here_or_many(self) -> Self {
        let unicast = u32::from(libc::RTN_UNICAST);
        self.and([fib(FIB_ADDRESS_TYPE, FIB_BY_DESTINATION), compare(NOT_EQUAL, &unicast.to_ne_bytes())])
    }

    /// Matches the connection states established and related.
    pub fn of_known_connection(self) -> Self {
        self.state(NOT_EQUAL, ESTABLISHED_OR_RELATED)
    }

    /// Matches connection states other than established and related.
    pub fn of_no_known_connection(self) -> Self {
        self.state(EQUAL, ESTABLISHED_OR_RELATED)
    }

    /// Matches connection states other than established, related included.
    pub fn not_established(self) -> Self {
        self.state(EQUAL, ESTABLISHED)
    }

    /// Matches the first packet of a connection.
    pub fn new_connection(self) -> Self {
        self.state(NOT_EQUAL, NEW)
    }

    /// Compares the given bits of the connection state with zero.
    fn state(self, how: u32, bits: u32) -> Self {
        self.and([ct(CT_STATE), only_bits(&bits.to_ne_bytes()), compare(how, &0_u32.to_ne_bytes())])
    }

    /// Matches connections without DNAT on this host.
    pub fn destination_unchanged(self) -> Self {
        let bits = only_bits(&DESTINATION_CHANGED.to_ne_bytes());
        self.and([ct(CT_STATUS), bits, compare(EQUAL, &0_u32.to_ne_bytes())])
    }
}
