//! What rules are made of: load a value into the register, compare it, decide
//! (linux/netfilter/nf_tables.h). Pure.
//!
//! Every expression uses one register, but for a change of address and port: a rule is a row of
//! "load, compare" pairs, each of which ends the rule when it does not hold, and a verdict.

use std::net::Ipv4Addr;

use crate::connections::SHARES;
use crate::netlink::Attributes;
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// The registers: the verdict's, that of values, and one for an address beside a port.
const VERDICT: u32 = 0;
const VALUE: u32 = 1;
const ADDRESS: u32 = 2;

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
/// Where `payload` begins.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Offsets in the IPv4 header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// And in that of IPv6.
const SOURCE_6: u32 = 8;
const DESTINATION_6: u32 = 24;
/// What `fib` looks up, and by what.
const FIB_LINK: u32 = 1;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_BY_SOURCE: u32 = 1;
const FIB_BY_DESTINATION: u32 = 2;
const FIB_BY_LINK: u32 = 8;
/// How `cmp` compares.
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;
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
/// `connlimit` and `limit` hold for more than the number, not for up to it.
const OVER: u32 = 1;

/// One step of a rule.
#[derive(Debug, Clone)]
pub struct Expression(Attributes);

impl Expression {
    fn new(name: &str, data: Attributes) -> Self {
        const NAME: u16 = 1;
        const DATA: u16 = 2;
        Self(Attributes::new().text(NAME, name).nest(DATA, data))
    }

    /// As an element of a list or the only one.
    pub fn attributes(self) -> Attributes {
        self.0
    }
}

fn meta(key: u32) -> Expression {
    Expression::new("meta", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

fn ct(key: u32) -> Expression {
    Expression::new("ct", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

fn payload(base: u32, offset: u32, length: u32) -> Expression {
    let what = Attributes::new().network_number(1, VALUE).network_number(2, base);
    Expression::new("payload", what.network_number(3, offset).network_number(4, length))
}

fn fib(result: u32, by: u32) -> Expression {
    Expression::new("fib", Attributes::new().network_number(1, VALUE).network_number(2, result).network_number(3, by))
}

/// A value, where one is wanted.
fn data(value: &[u8]) -> Attributes {
    Attributes::new().with(1, value)
}

fn compare(how: u32, value: &[u8]) -> Expression {
    Expression::new("cmp", Attributes::new().network_number(1, VALUE).network_number(2, how).nest(3, data(value)))
}

/// Keeps the bits of the register that are set in the mask.
fn only_bits(mask: &[u8]) -> Expression {
    let length = u32::try_from(mask.len()).expect("registers are short");
    let what = Attributes::new().network_number(1, VALUE).network_number(2, VALUE).network_number(3, length);
    Expression::new("bitwise", what.nest(4, data(mask)).nest(5, data(&vec![0; mask.len()])))
}

/// A rule: what must hold, then what happens. Rules are read in the order of a chain.
#[derive(Debug, Clone)]
pub struct Rule {
    steps: Vec<Expression>,
    /// Where what is said of addresses finds them.
    family: Family,
}

/// Whose header a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4's.
    V4,
    /// IPv6's. Sources are known by the IPv4 address that theirs end with.
    V6,
}

impl Rule {
    /// Holds for every packet; what it says of addresses must be asked of IPv4 alone.
    pub fn new() -> Self {
        Self::of(Family::V4)
    }

    /// Holds for every packet; what it says of addresses must be asked of that family alone.
    pub fn of(family: Family) -> Self {
        Self { steps: Vec::new(), family }
    }

    fn and(mut self, more: impl IntoIterator<Item = Expression>) -> Self {
        self.steps.extend(more);
        self
    }

    /// Loads what sets know a source by.
    fn known_source(&self) -> Expression {
        match self.family {
            Family::V4 => payload(NETWORK_HEADER, SOURCE, 4),
            Family::V6 => payload(NETWORK_HEADER, SOURCE_6 + 12, 4),
        }
    }

    /// Came in by no link whose name begins so.
    pub fn enters_not_by(self, prefix: &str) -> Self {
        self.and([meta(META_IIFNAME), compare(NOT_EQUAL, prefix.as_bytes())])
    }

    /// Came in by a link whose name begins so.
    pub fn enters_by(self, prefix: &str) -> Self {
        self.and([meta(META_IIFNAME), compare(EQUAL, prefix.as_bytes())])
    }

    /// Came in by one of the links named in a set.
    pub fn enters_by_one_of(self, set: &str) -> Self {
        self.and([meta(META_IIFNAME), lookup(set)])
    }

    /// Does not go out by a link whose name begins so.
    pub fn leaves_not_by(self, prefix: &str) -> Self {
        self.and([meta(META_OIFNAME), compare(NOT_EQUAL, prefix.as_bytes())])
    }

    /// Is IPv4.
    pub fn v4(self) -> Self {
        self.and([meta(META_NFPROTO), compare(EQUAL, &[libc::NFPROTO_IPV4 as u8])])
    }

    /// Is IPv6.
    pub fn v6(self) -> Self {
        self.and([meta(META_NFPROTO), compare(EQUAL, &[libc::NFPROTO_IPV6 as u8])])
    }

    /// Is not IPv4.
    pub fn not_v4(self) -> Self {
        self.and([meta(META_NFPROTO), compare(NOT_EQUAL, &[libc::NFPROTO_IPV4 as u8])])
    }

    /// Is TCP, UDP, ICMP…, by number.
    pub fn protocol(self, number: i32) -> Self {
        self.and([meta(META_L4PROTO), compare(EQUAL, &[number as u8])])
    }

    /// Is TCP or UDP to a port.
    pub fn port(self, protocol: i32, port: u16) -> Self {
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 2, 2), compare(EQUAL, &port.to_be_bytes())])
    }

    /// Is to one of the ports from the first to the last, and no ICMP, which has none.
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

    /// Is TCP or UDP from a port.
    pub fn source_port(self, protocol: i32, port: u16) -> Self {
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 0, 2), compare(EQUAL, &port.to_be_bytes())])
    }

    /// Is the first packet of a connection by TCP, as its flags say: SYN without ACK.
    pub fn begins_tcp(self) -> Self {
        const FLAGS: u32 = 13;
        const SYN: u8 = 0x02;
        const SYN_OR_ACK: u8 = 0x12;
        self.and([payload(TRANSPORT_HEADER, FLAGS, 1), only_bits(&[SYN_OR_ACK]), compare(EQUAL, &[SYN])])
    }

    /// Is an ICMP message of a type.
    pub fn icmp(self, kind: u8) -> Self {
        let protocol = if self.family == Family::V4 { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 };
        self.protocol(protocol).and([payload(TRANSPORT_HEADER, 0, 1), compare(EQUAL, &[kind])])
    }

    /// Goes to an address.
    pub fn destination(self, address: Ipv4Addr) -> Self {
        self.and([payload(NETWORK_HEADER, DESTINATION, 4), compare(EQUAL, &address.octets())])
    }

    /// Comes from an address.
    pub fn source(self, address: Ipv4Addr) -> Self {
        self.and([payload(NETWORK_HEADER, SOURCE, 4), compare(EQUAL, &address.octets())])
    }

    /// Goes to an address of a set.
    pub fn destination_in(self, set: &str) -> Self {
        let address = match self.family {
            Family::V4 => payload(NETWORK_HEADER, DESTINATION, 4),
            Family::V6 => payload(NETWORK_HEADER, DESTINATION_6, 16),
        };
        self.and([address, lookup(set)])
    }

    /// Comes from a range.
    pub fn source_in(self, range: Subnet) -> Self {
        self.and([
            payload(NETWORK_HEADER, SOURCE, 4),
            only_bits(&range.mask().octets()),
            compare(EQUAL, &range.first().octets()),
        ])
    }

    /// Comes from a range of IPv6.
    pub fn source_in_6(self, range: Subnet6) -> Self {
        self.and([
            payload(NETWORK_HEADER, SOURCE_6, 16),
            only_bits(&range.mask().octets()),
            compare(EQUAL, &range.first().octets()),
        ])
    }

    /// Comes from an address that this machine has no route to by the link it came in by: a forged
    /// one.
    pub fn forged_source(self) -> Self {
        self.and([fib(FIB_LINK, FIB_BY_SOURCE | FIB_BY_LINK), compare(EQUAL, &0_u32.to_ne_bytes())])
    }

    /// Goes to an address of this machine, or to many at once.
    pub fn destination_here_or_many(self) -> Self {
        let unicast = u32::from(libc::RTN_UNICAST);
        self.and([fib(FIB_ADDRESS_TYPE, FIB_BY_DESTINATION), compare(NOT_EQUAL, &unicast.to_ne_bytes())])
    }

    /// Belongs to a connection that was let through, or is an error about one.
    pub fn of_known_connection(self) -> Self {
        self.state(NOT_EQUAL, ESTABLISHED_OR_RELATED)
    }

    /// Does not.
    pub fn of_no_known_connection(self) -> Self {
        self.state(EQUAL, ESTABLISHED_OR_RELATED)
    }

    /// Belongs to no connection that was let through, or is an error about one.
    pub fn not_established(self) -> Self {
        self.state(EQUAL, ESTABLISHED)
    }

    /// Begins a connection.
    pub fn new_connection(self) -> Self {
        self.state(NOT_EQUAL, NEW)
    }

    /// Whether the bits are all unset, or not.
    fn state(self, how: u32, bits: u32) -> Self {
        self.and([ct(CT_STATE), only_bits(&bits.to_ne_bytes()), compare(how, &0_u32.to_ne_bytes())])
    }

    /// Goes where it was sent: nobody here has changed its destination.
    pub fn destination_unchanged(self) -> Self {
        let bits = only_bits(&DESTINATION_CHANGED.to_ne_bytes());
        self.and([ct(CT_STATUS), bits, compare(EQUAL, &0_u32.to_ne_bytes())])
    }

    /// Is of a connection beyond the given number from its source; they are counted in a set.
    pub fn over_connections(self, set: &str, number: u32) -> Self {
        self.by_source(set, count_over(number))
    }

    /// Is of a connection beyond the given number in its share of all, by its source port; they are
    /// counted in a set.
    pub fn over_share(self, set: &str, number: u32) -> Self {
        // Without the lowest bit: programs that do not choose a port get even ones first.
        const SHARE: u16 = (SHARES as u16 - 1) << 1;
        self.and([payload(TRANSPORT_HEADER, 0, 2), only_bits(&SHARE.to_be_bytes()), counted(set, count_over(number))])
    }

    /// Is beyond the given number of packets in a second from its source, of which as many may come
    /// at once; they are counted in a set.
    pub fn over_rate(self, set: &str, number: u32) -> Self {
        const SECOND: u64 = 1;
        const PACKETS: u32 = 0;
        let limit = Attributes::new()
            .with(1, &u64::from(number).to_be_bytes())
            .with(2, &SECOND.to_be_bytes())
            .network_number(3, number)
            .network_number(4, PACKETS)
            .network_number(5, OVER);
        self.by_source(set, Expression::new("limit", limit))
    }

    /// What a source's own counter, which a set keeps, holds for.
    fn by_source(self, set: &str, counter: Expression) -> Self {
        let source = self.known_source();
        self.and([source, counted(set, counter)])
    }

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

    fn verdict(self, verdict: Attributes) -> Self {
        const DATA_VERDICT: u16 = 2;
        let what = Attributes::new().network_number(1, VERDICT);
        self.and([Expression::new("immediate", what.nest(2, Attributes::new().nest(DATA_VERDICT, verdict)))])
    }

    /// What called this chain goes on behind the call.
    pub fn back(self) -> Self {
        self.verdict(Attributes::new().network_number(1, RETURN.cast_unsigned()))
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

    /// The list of its expressions.
    pub fn expressions(self) -> Attributes {
        const ELEMENT: u16 = 1;
        self.steps.into_iter().fold(Attributes::new(), |list, one| list.nest(ELEMENT, one.attributes()))
    }
}

/// The verdict to ask another chain, as the value of a set's element.
pub fn ask_chain(chain: &str) -> Attributes {
    const DATA_VERDICT: u16 = 2;
    let verdict = Attributes::new().network_number(1, JUMP.cast_unsigned()).text(2, chain);
    Attributes::new().nest(DATA_VERDICT, verdict)
}

/// Holds for connections beyond the number.
fn count_over(number: u32) -> Expression {
    Expression::new("connlimit", Attributes::new().network_number(1, number).network_number(2, OVER))
}

/// Asks the counter that a set keeps for the value in the register.
fn counted(set: &str, counter: Expression) -> Expression {
    let what = Attributes::new()
        .text(1, set)
        // Add, which is 0, keeps a counter that is there.
        .network_number(3, 0)
        .network_number(4, VALUE)
        .nest(7, counter.attributes());
    Expression::new("dynset", what)
}

fn lookup(set: &str) -> Expression {
    Expression::new("lookup", Attributes::new().text(1, set).network_number(2, VALUE))
}
