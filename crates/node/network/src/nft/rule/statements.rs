//! What happens to a packet that a rule holds for: a verdict, an answer, a change of addresses.

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
    /// Is not tracked as a connection.
    pub fn untracked(self) -> Self {
        self.and([Expression::new("notrack", Attributes::new())])
    }

    /// Goes on its way, as far as this chain is concerned.
    pub fn accept(self) -> Self {
        self.verdict(Attributes::new().network_number(1, ACCEPT.cast_unsigned()))
    }

    /// Vanishes.
    pub fn drop(self) -> Self {
        self.verdict(Attributes::new().network_number(1, DROP.cast_unsigned()))
    }

    /// Another chain decides.
    pub fn go_to(self, chain: &str) -> Self {
        self.verdict(Attributes::new().network_number(1, GOTO.cast_unsigned()).text(2, chain))
    }

    /// What called this chain goes on behind the call.
    pub fn back(self) -> Self {
        self.verdict(Attributes::new().network_number(1, RETURN.cast_unsigned()))
    }

    fn verdict(self, verdict: Attributes) -> Self {
        const DATA_VERDICT: u16 = 2;
        let what = Attributes::new().network_number(1, VERDICT);
        self.and([Expression::new("immediate", what.nest(2, Attributes::new().nest(DATA_VERDICT, verdict)))])
    }

    /// The number that one set has for the source decides by the verdict that another has for it;
    /// without either the rule does not hold.
    pub fn verdict_of_source(self, numbers: &str, verdicts: &str) -> Self {
        let by = |set: &str, into: u32| {
            Expression::new("lookup", Attributes::new().text(1, set).network_number(2, VALUE).network_number(3, into))
        };
        let source = self.known_source();
        self.and([source, by(numbers, VALUE), by(verdicts, VERDICT)])
    }

    /// The first bytes of the packet are sent to whoever listens to a group.
    pub fn log(self, group: u16) -> Self {
        let what = Attributes::new().with(1, &group.to_be_bytes()).network_number(3, LOGGED_BYTES);
        self.and([Expression::new("log", what)])
    }

    /// The sender is told that its connection is refused (TCP).
    pub fn reset(self) -> Self {
        self.and([Expression::new("reject", Attributes::new().network_number(1, WITH_RESET).with(2, &[0]))])
    }

    /// The sender is told that this is prohibited.
    pub fn prohibit(self) -> Self {
        let what = Attributes::new().network_number(1, WITH_ICMP).with(2, &[ADMINISTRATIVELY_PROHIBITED]);
        self.and([Expression::new("reject", what)])
    }

    /// Goes out as if it came from this machine.
    pub fn masquerade(self) -> Self {
        self.and([Expression::new("masq", Attributes::new())])
    }

    /// Goes to another port of the address that it was sent to.
    pub fn redirect(self, port: u16) -> Self {
        const DESTINATION_NAT: u32 = 1;
        let port = Attributes::new().network_number(1, VALUE).nest(2, data(&port.to_be_bytes()));
        let change = Attributes::new()
            .network_number(1, DESTINATION_NAT)
            .network_number(2, libc::NFPROTO_IPV4.cast_unsigned())
            .network_number(5, VALUE);
        self.and([Expression::new("immediate", port), Expression::new("nat", change)])
    }

    /// Goes to another address and port.
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

/// The verdict to ask another chain, as the value of a set's element.
pub fn ask_chain(chain: &str) -> Attributes {
    const DATA_VERDICT: u16 = 2;
    let verdict = Attributes::new().network_number(1, JUMP.cast_unsigned()).text(2, chain);
    Attributes::new().nest(DATA_VERDICT, verdict)
}
