//! The chains of a platform's table that packets of instances go through. Pure.

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

/// ICMP: a question for a sign of life, and "your packet did not get there".
const ECHO_REQUEST: u8 = 8;
const UNREACHABLE: u8 = 3;
/// The same of ICMPv6 (RFC 4443).
const ECHO_REQUEST_6: u8 = 128;
const UNREACHABLE_6: u8 = 1;

/// A question to the name server.
pub fn asks(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().destination(name_server).port(protocol, DNS_PORT)
}

/// What it answers.
pub fn answers(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().source(name_server).source_port(protocol, DNS_PORT)
}

pub fn both(rule: impl Fn(i32) -> Rule) -> [Rule; 2] {
    [libc::IPPROTO_UDP, libc::IPPROTO_TCP].map(rule)
}

/// Is told at once: software development kits ask clouds' metadata addresses first, and would wait
/// there.
pub fn refuse() -> Vec<Rule> {
    vec![Rule::new().protocol(libc::IPPROTO_TCP).reset(), Rule::new().prohibit()]
}

/// What comes from instances.
pub fn from(links: &str, here: Here, config: &Config) -> Vec<Rule> {
    let name_server = here.address;
    let ask = |protocol| asks(name_server, protocol);
    let questions_max = config.dns_queries_per_instance_per_s_max;
    let before = vec![
        // The name server is for instances alone; those of other platforms are refused below, by
        // their own rules.
        Rule::new().v4().enters_not_by(LINKS_OF_ALL).destination(name_server).drop(),
        Rule::new().enters_not_by(links).accept(),
    ];
    let v6 = here.has_v6.then(|| Rule::new().v6().go_to(FROM_6));
    let asked = [
        Rule::new().not_v4().drop(),
        Rule::new().forged_source().drop(),
        // Before the name server's queue, which all instances share.
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

/// A connection to one of the addresses by which instances reach this machine.
fn to_host(address: Ipv4Addr) -> Rule {
    Rule::new().v4().protocol(libc::IPPROTO_TCP).destination(address)
}

/// Connections to this machine become the relay's, which learns from the kernel where they went.
pub fn to_relay(links: &str, here: Here) -> Vec<Rule> {
    let to_ports = to_host(here.address).enters_by(links).redirect(here.relay);
    let to_gateway = here.gateway.map(|gateway| to_host(gateway).enters_by(links).send_to(here.address, here.relay));
    [to_ports].into_iter().chain(to_gateway).collect()
}

/// What instances send to where they may.
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

/// What instances send by IPv6, before it is counted.
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

/// What goes to instances, from outside and from this machine.
pub fn to(links: &str, here: Here) -> Vec<Rule> {
    let [by_udp, by_tcp] = both(|protocol| answers(here.address, protocol).accept());
    let refusals_6 = here.has_v6.then(|| Rule::of(Family::V6).v6().icmp(UNREACHABLE_6).accept());
    let first = [
        Rule::new().leaves_not_by(links).accept(),
        Rule::new().of_known_connection().accept(),
        by_udp,
        by_tcp,
        // Refusals of what was never let through belong to no connection.
        Rule::new().icmp(UNREACHABLE).accept(),
    ];
    first.into_iter().chain(refusals_6).chain([Rule::new().drop()]).collect()
}

/// Leaves as the machine.
pub fn masqueraded(links: &str, block: Subnet, here: Here, config: &Config) -> Vec<Rule> {
    let v4 = Rule::new().v4().source_in(block).leaves_not_by(links).masquerade();
    let v6 = || Rule::of(Family::V6).v6().source_in_6(config.range6).leaves_not_by(links).masquerade();
    std::iter::once(v4).chain(here.has_v6.then(v6)).collect()
}
