//! The rules of the chains that packets of instances traverse. Pure.

use std::net::Ipv4Addr;

use super::lists::{LISTS, LISTS_6, MEMBERS};
use super::{
    ASSURED, CONNECTIONS, COUNTED, COUNTED_6, DENIED, DENIED_6, DNS_PORT, FROM_6, Here, QUESTIONS, REFUSE, SHARES,
};
use crate::config::Config;
use crate::connections::Limits;
use crate::names::LINKS_OF_ALL;
use crate::nft::{Family, Rule};
use crate::subnet::Subnet;

/// Types of ICMP: echo request, destination unreachable.
const ECHO_REQUEST: u8 = 8;
const UNREACHABLE: u8 = 3;
/// The same of ICMPv6 (RFC 4443).
const ECHO_REQUEST_6: u8 = 128;
const UNREACHABLE_6: u8 = 1;

/// Matches queries to the name server.
pub fn asks(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().destination(name_server).port(protocol, DNS_PORT)
}

/// Matches its responses.
pub fn answers(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().source(name_server).source_port(protocol, DNS_PORT)
}

pub fn both(rule: impl Fn(i32) -> Rule) -> [Rule; 2] {
    [libc::IPPROTO_UDP, libc::IPPROTO_TCP].map(rule)
}

/// Rejects instead of dropping: SDKs probe cloud metadata addresses first and would wait for a
/// timeout.
pub fn refuse() -> Vec<Rule> {
    vec![Rule::new().protocol(libc::IPPROTO_TCP).reset(), Rule::new().prohibit()]
}

/// Packets from instances.
pub fn from(links: &str, here: Here, config: &Config) -> Vec<Rule> {
    let name_server = here.address;
    let ask = |protocol| asks(name_server, protocol);
    let questions_max = config.dns_queries_per_instance_per_s_max;
    let before = vec![
        // Only instances may use the name server. Instances of other platforms are rejected by the
        // rules of their platform.
        Rule::new().v4().enters_not_by(LINKS_OF_ALL).destination(name_server).drop(),
        Rule::new().enters_not_by(links).accept(),
    ];
    let v6 = here.has_v6.then(|| Rule::new().v6().go_to(FROM_6));
    let asked = [
        Rule::new().not_v4().drop(),
        Rule::new().forged_source().drop(),
        // Limit the rate before the name server's queue, which all instances share.
        ask(libc::IPPROTO_UDP).over_rate(QUESTIONS, questions_max).drop(),
        ask(libc::IPPROTO_TCP).begins_tcp().over_rate(QUESTIONS, questions_max).drop(),
        ask(libc::IPPROTO_UDP).accept(),
        ask(libc::IPPROTO_TCP).accept(),
        to_host(name_server).go_to(COUNTED),
    ];
    let to_gateway = here.gateway.map(|gateway| to_host(gateway).go_to(COUNTED));
    let outside = [
        Rule::new().destination_here_or_many().go_to(REFUSE),
        Rule::new().destination_in(DENIED).go_to(REFUSE),
        Rule::new().not_established().verdict_of_source(MEMBERS, LISTS),
        Rule::new().go_to(COUNTED),
    ];
    before.into_iter().chain(v6).chain(asked).chain(to_gateway).chain(outside).collect()
}

/// Matches TCP to one of the addresses at which instances reach this host.
fn to_host(address: Ipv4Addr) -> Rule {
    Rule::new().v4().protocol(libc::IPPROTO_TCP).destination(address)
}

/// Redirects connections to this host to the relay, which reads the original destination from the
/// kernel.
pub fn to_relay(links: &str, here: Here) -> Vec<Rule> {
    let to_ports = to_host(here.address).enters_by(links).redirect(here.relay);
    let to_gateway = here.gateway.map(|gateway| to_host(gateway).enters_by(links).send_to(here.address, here.relay));
    [to_ports].into_iter().chain(to_gateway).collect()
}

/// Packets to allowed destinations: limits the number of connections and the protocols.
pub fn counted(family: Family, connections: Limits) -> Vec<Rule> {
    let rule = || Rule::of(family);
    let echo_request = if family == Family::V4 { ECHO_REQUEST } else { ECHO_REQUEST_6 };
    vec![
        rule().new_connection().over_connections(CONNECTIONS, connections.per_instance).drop(),
        rule()
            .new_connection()
            .over_connections(ASSURED, connections.assured)
            .over_share(SHARES, connections.per_share)
            .drop(),
        rule().protocol(libc::IPPROTO_TCP).accept(),
        rule().protocol(libc::IPPROTO_UDP).accept(),
        rule().icmp(echo_request).accept(),
        rule().drop(),
    ]
}

/// IPv6 packets from instances.
pub fn from_6() -> Vec<Rule> {
    let rule = || Rule::of(Family::V6);
    vec![
        rule().forged_source().drop(),
        rule().destination_here_or_many().go_to(REFUSE),
        rule().destination_in(DENIED_6).go_to(REFUSE),
        rule().not_established().verdict_of_source(MEMBERS, LISTS_6),
        rule().go_to(COUNTED_6),
    ]
}

/// Packets to instances, from outside and from this host.
pub fn to(links: &str, here: Here) -> Vec<Rule> {
    let [by_udp, by_tcp] = both(|protocol| answers(here.address, protocol).accept());
    let refusals_6 = here.has_v6.then(|| Rule::of(Family::V6).v6().icmp(UNREACHABLE_6).accept());
    let first = [
        Rule::new().leaves_not_by(links).accept(),
        Rule::new().of_known_connection().accept(),
        by_udp,
        by_tcp,
        // ICMP errors about rejected packets belong to no tracked connection.
        Rule::new().icmp(UNREACHABLE).accept(),
    ];
    first.into_iter().chain(refusals_6).chain([Rule::new().drop()]).collect()
}

/// Masquerades packets that leave the host.
pub fn masqueraded(links: &str, block: Subnet, here: Here, config: &Config) -> Vec<Rule> {
    let v4 = Rule::new().v4().source_in(block).leaves_not_by(links).masquerade();
    let v6 = || Rule::of(Family::V6).v6().source_in_6(config.range6).leaves_not_by(links).masquerade();
    std::iter::once(v4).chain(here.has_v6.then(v6)).collect()
}
