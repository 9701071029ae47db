//! Statements of a rule, applied to packets that match: verdicts, logging, rejections, NAT.

use std::net::Ipv4Addr;

use super::Rule;
use crate::netlink::Attributes;
use crate::nft::expression::{ADDRESS, Expression, VALUE, VERDICT, data};

/// Verdicts.
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;
/// How `reject` answers.
const WITH_ICMP: u32 = 2;
const WITH_RESET: u32 = 1;
const ADMINISTRATIVELY_PROHIBITED: u8 = 3;
/// Bytes of a packet that `log` shows: a header, of IPv4 with options, and ports.
const LOGGED_BYTES: u32 = 64;

impl Rule {
    /// Exempts the packet from connection tracking.
    pub fn untracked(self) -> Self {
        self.and([Expression::new("notrack", Attributes::new())])
    }

    /// Accepts the packet; chains at later hooks still see it.
    pub fn accept(self) -> Self {
        self.verdict(Attributes::new().network_number(1, ACCEPT.cast_unsigned()))
    }

    /// Drops the packet without a reply.
    pub fn drop(self) -> Self {
        self.verdict(Attributes::new().network_number(1, DROP.cast_unsigned()))
    }

    /// Continues in another chain, without returning.
    pub fn go_to(self, chain: &str) -> Self {
        self.verdict(Attributes::new().network_number(1, GOTO.cast_unsigned()).text(2, chain))
    }

    /// Returns to the calling chain.
    pub fn back(self) -> Self {
        self.verdict(Attributes::new().network_number(1, RETURN.cast_unsigned()))
    }

    fn verdict(self, verdict: Attributes) -> Self {
        const DATA_VERDICT: u16 = 2;
        let what = Attributes::new().network_number(1, VERDICT);
        self.and([Expression::new("immediate", what.nest(2, Attributes::new().nest(DATA_VERDICT, verdict)))])
    }

    /// Looks up the number of the source in one map and the verdict of that number in another. The
    /// rule does not match if either has no entry.
    pub fn verdict_of_source(self, numbers: &str, verdicts: &str) -> Self {
        let by = |set: &str, into: u32| {
            Expression::new("lookup", Attributes::new().text(1, set).network_number(2, VALUE).network_number(3, into))
        };
        let source = self.known_source();
        self.and([source, by(numbers, VALUE), by(verdicts, VERDICT)])
    }

    /// Sends the first bytes of the packet to the listener of a log group (nfnetlink_log).
    pub fn log(self, group: u16) -> Self {
        let what = Attributes::new().with(1, &group.to_be_bytes()).network_number(3, LOGGED_BYTES);
        self.and([Expression::new("log", what)])
    }

    /// Rejects with a TCP reset.
    pub fn reset(self) -> Self {
        self.and([Expression::new("reject", Attributes::new().network_number(1, WITH_RESET).with(2, &[0]))])
    }

    /// Rejects with ICMP "administratively prohibited".
    pub fn prohibit(self) -> Self {
        let what = Attributes::new().network_number(1, WITH_ICMP).with(2, &[ADMINISTRATIVELY_PROHIBITED]);
        self.and([Expression::new("reject", what)])
    }

    /// Masquerades: replaces the source address by that of the outgoing interface.
    pub fn masquerade(self) -> Self {
        self.and([Expression::new("masq", Attributes::new())])
    }

    /// Changes the destination port (DNAT).
    pub fn redirect(self, port: u16) -> Self {
        const DESTINATION_NAT: u32 = 1;
        let port = Attributes::new().network_number(1, VALUE).nest(2, data(&port.to_be_bytes()));
        let change = Attributes::new()
            .network_number(1, DESTINATION_NAT)
            .network_number(2, libc::NFPROTO_IPV4.cast_unsigned())
            .network_number(5, VALUE);
        self.and([Expression::new("immediate", port), Expression::new("nat", change)])
    }

    /// Changes destination address and port (DNAT).
    pub fn send_to(self, address: Ipv4Addr, port: u16) -> Self {
        const DESTINATION_NAT: u32 = 1;
        let register = |register, value: &[u8]| {
            Expression::new("immediate", Attributes::new().network_number(1, register).nest(2, data(value)))
        };
        let change = Attributes::new()
            .network_number(1, DESTINATION_NAT)
            .network_number(2, libc::NFPROTO_IPV4.cast_unsigned())
            .network_number(3, ADDRESS)
            .network_number(5, VALUE);
        let values = [register(ADDRESS, &address.octets()), register(VALUE, &port.to_be_bytes())];
        self.and(values).and([Expression::new("nat", change)])
    }
}

/// The verdict to jump to a chain, as the value of a map element.
pub fn ask_chain(chain: &str) -> Attributes {
    const DATA_VERDICT: u16 = 2;
    let verdict = Attributes::new().network_number(1, JUMP.cast_unsigned()).text(2, chain);
    Attributes::new().nest(DATA_VERDICT, verdict)
}
