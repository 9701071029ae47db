//! What instances may reach and who may reach them, as packet rules. Pure.
//!
//! One table per platform, the same however many instances there are: a link is known by how its
//! name begins, and who may send from it by the machine's own route to its address.
//!
//! ```text
//! asked    before tracking  what instances ask the name server is no connection, nor its answers
//! from     before routing   IPv4 · own address · name server, not too fast · host relay · not this
//!                           machine · not denied · on its list · counted
//! counted  -                not too many · tcp udp ping
//! to       after routing    answers and errors only
//! nat      after routing    leaves as the machine
//! host     before routing   connections to any port of this machine's one address, and of the
//!                           gateway's, become the relay's
//! ```
//!
//! Functions with a list of what they may reach share three more sets and chains: `members` has the
//! number of the list of an instance's address, `lists` the chain of a number, and the chain, one a
//! list, returns for what is on it and otherwise goes to `refuse-listed`, which reports and
//! refuses. With IPv6, packets of it go from `from` to `from-6`, which asks the same of them; a
//! list has a chain for each family, found by the number of the same member.
//!
//! An instance without a list is in none of them, and what it sends costs one failed lookup until
//! its connection is established.

use std::net::Ipv4Addr;

use crate::config::{Config, NEVER, NEVER_6};
use crate::connections::Limits;
use crate::egress::List;
use crate::names::{LINKS_OF_ALL, Names};
use crate::netlink::Message;
use crate::nft::{Chain, Family, Hook, Kind, Rule, Set, Transaction};
use crate::prefix::joined;
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// Port of name servers.
pub const DNS_PORT: u16 = 53;
/// The table that all platforms of a machine share, see [`guard`].
pub const GUARD_TABLE: &str = "sampan-forwarding";
/// The same for IPv6.
pub const GUARD_TABLE_6: &str = "sampan-forwarding-6";

/// Before the tracking of connections (-200).
const BEFORE_TRACKING: i32 = -300;
/// Behind the tracking of connections (-200) and before destinations are changed (-100): what
/// another program publishes on an address of this machine is refused by that address.
const BEFORE_DESTINATION_CHANGES: i32 = -150;
/// Where destinations are usually changed.
const DESTINATION_CHANGES: i32 = -100;
/// Where filters usually are.
const FILTER: i32 = 0;
/// Where sources are usually changed.
const SOURCE_CHANGES: i32 = 100;
/// ICMP: a question for a sign of life, and "your packet did not get there".
const ECHO_REQUEST: u8 = 8;
const UNREACHABLE: u8 = 3;
/// The same of ICMPv6 (RFC 4443).
const ECHO_REQUEST_6: u8 = 128;
const UNREACHABLE_6: u8 = 1;

const DENIED: &str = "denied";
const CONNECTIONS: &str = "connections";
const QUESTIONS: &str = "questions";
const ASSURED: &str = "assured";
const SHARES: &str = "shares";
const REFUSE: &str = "refuse";
const REFUSALS: &str = "refusals";
const REFUSE_LISTED: &str = "refuse-listed";
const MEMBERS: &str = "members";
const LISTS: &str = "lists";
/// Refusals of one instance in a second that are reported.
const REFUSALS_PER_S_MAX: u32 = 20;
const COUNTED: &str = "counted";
const DENIED_6: &str = "denied-6";
const FROM_6: &str = "from-6";
const REFUSE_LISTED_6: &str = "refuse-listed-6";
const LISTS_6: &str = "lists-6";
const COUNTED_6: &str = "counted-6";
const GUARDED: &str = "guarded";

/// What instances reach of this machine, all by TCP but names.
#[derive(Debug, Clone, Copy)]
pub struct Here {
    /// The address of the name server and of the machine's ports.
    pub address: Ipv4Addr,
    /// The address of the platform's gateway, where they may reach it.
    pub gateway: Option<Ipv4Addr>,
    /// Port of the relay at `address`, which takes the connections to both.
    pub relay: u16,
    /// Whether links have IPv6 addresses too.
    pub has_v6: bool,
}

/// Puts the platform's table in the place of one that is there.
///
/// Refusals of what is not on a list are reported to `log_group`.
pub fn install<'a>(
    names: &'a Names,
    block: Subnet,
    here: Here,
    config: &Config,
    connections: Limits,
    log_group: Option<u16>,
) -> Transaction<'a> {
    let (ranges, name_server) = (joined(&denied(config)), here.address);
    let hook = |kind, place, priority| Some(Hook { kind, place, priority });
    let changes = Transaction::on(&names.table)
        .table()
        .remove_table()
        .table()
        .set(&Set::Ranges { name: DENIED, ranges: &ranges })
        .set(&Set::Counts { name: CONNECTIONS })
        .set(&Set::Counts { name: ASSURED })
        .set(&Set::Shares { name: SHARES })
        .set(&Set::Counts { name: QUESTIONS })
        .set(&Set::Counts { name: REFUSALS })
        .set(&Set::Numbers { name: MEMBERS })
        .set(&Set::Verdicts { name: LISTS })
        // Told at once: software development kits ask clouds' metadata addresses first, and would
        // wait there.
        .chain(Chain {
            name: REFUSE,
            hook: None,
            rules: vec![Rule::new().protocol(libc::IPPROTO_TCP).reset(), Rule::new().prohibit()],
        })
        .chain(Chain { name: REFUSE_LISTED, hook: None, rules: refuse_listed(Family::V4, log_group) })
        // Questions would fill the table of connections: each has a port of its own, and is
        // remembered for half a minute.
        .chain(Chain {
            name: "asked",
            hook: hook(Kind::Filter, libc::NF_INET_PRE_ROUTING, BEFORE_TRACKING),
            rules: both(|protocol| asks(name_server, protocol).untracked()).to_vec(),
        })
        .chain(Chain {
            name: "answered",
            hook: hook(Kind::Filter, libc::NF_INET_LOCAL_OUT, BEFORE_TRACKING),
            rules: both(|protocol| answers(name_server, protocol).untracked()).to_vec(),
        })
        .chain(Chain { name: COUNTED, hook: None, rules: counted(Family::V4, connections) });
    let changes = if here.has_v6 { of_v6(changes, config, connections, log_group) } else { changes };
    changes
        .chain(Chain {
            name: "from",
            hook: hook(Kind::Filter, libc::NF_INET_PRE_ROUTING, BEFORE_DESTINATION_CHANGES),
            rules: from(&names.links, here, config),
        })
        .chain(Chain {
            name: "host",
            hook: hook(Kind::Nat, libc::NF_INET_PRE_ROUTING, DESTINATION_CHANGES),
            rules: to_relay(&names.links, here),
        })
        .chain(Chain {
            name: "to",
            hook: hook(Kind::Filter, libc::NF_INET_POST_ROUTING, FILTER),
            rules: to(&names.links, here),
        })
        .chain(Chain {
            name: "nat",
            hook: hook(Kind::Nat, libc::NF_INET_POST_ROUTING, SOURCE_CHANGES),
            rules: masqueraded(&names.links, block, here, config),
        })
}

/// What of the table only IPv6 needs.
fn of_v6<'a>(
    changes: Transaction<'a>,
    config: &Config,
    connections: Limits,
    log_group: Option<u16>,
) -> Transaction<'a> {
    let rule = || Rule::of(Family::V6);
    changes
        .set(&Set::Ranges6 { name: DENIED_6, ranges: &joined(&denied_6(config)) })
        .set(&Set::Verdicts { name: LISTS_6 })
        .chain(Chain { name: REFUSE_LISTED_6, hook: None, rules: refuse_listed(Family::V6, log_group) })
        .chain(Chain { name: COUNTED_6, hook: None, rules: counted(Family::V6, connections) })
        .chain(Chain {
            name: FROM_6,
            hook: None,
            rules: vec![
                rule().forged_source().drop(),
                rule().destination_here_or_many().go_to(REFUSE),
                rule().destination_in(DENIED_6).go_to(REFUSE),
                rule().not_established().verdict_of_source(MEMBERS, LISTS_6),
                rule().go_to(COUNTED_6),
            ],
        })
}

/// Leaves as the machine.
fn masqueraded(links: &str, block: Subnet, here: Here, config: &Config) -> Vec<Rule> {
    let v4 = Rule::new().v4().source_in(block).leaves_not_by(links).masquerade();
    let v6 = || Rule::of(Family::V6).v6().source_in_6(config.range6).leaves_not_by(links).masquerade();
    std::iter::once(v4).chain(here.has_v6.then(v6)).collect()
}

/// Refuses what is not on a list, and reports it to a group.
fn refuse_listed(family: Family, log_group: Option<u16>) -> Vec<Rule> {
    match log_group {
        Some(group) => vec![
            Rule::of(family).over_rate(REFUSALS, REFUSALS_PER_S_MAX).go_to(REFUSE),
            Rule::of(family).log(group).go_to(REFUSE),
        ],
        None => vec![Rule::of(family).go_to(REFUSE)],
    }
}

/// Makes the chains of a list, unless they are there, and their sets.
pub fn add_list<'a>(changes: Transaction<'a>, list: &List) -> Transaction<'a> {
    let (mut changes, mut rules, mut rules_6) = (changes, Vec::new(), Vec::new());
    for group in &list.groups {
        let back = |family, set: &str| match group.ports {
            Some((first, last)) => Rule::of(family).port_between(first, last).destination_in(set).back(),
            None => Rule::of(family).destination_in(set).back(),
        };
        if !group.ranges.is_empty() {
            changes = changes.set(&Set::Ranges { name: &group.ranges_set, ranges: &group.ranges });
            rules.push(back(Family::V4, &group.ranges_set));
        }
        if !group.ranges_6.is_empty() && list.has_v6 {
            changes = changes.set(&Set::Ranges6 { name: &group.ranges_6_set, ranges: &group.ranges_6 });
            rules_6.push(back(Family::V6, &group.ranges_6_set));
        }
        if !group.names.is_empty() {
            changes = changes.set(&Set::Addresses { name: &group.names_set });
            rules.push(back(Family::V4, &group.names_set));
        }
        if !group.names.is_empty() && list.has_v6 {
            changes = changes.set(&Set::Addresses6 { name: &group.names_6_set });
            rules_6.push(back(Family::V6, &group.names_6_set));
        }
    }
    rules.push(Rule::new().go_to(REFUSE_LISTED));
    let changes = changes.chain(Chain { name: &list.chain, hook: None, rules });
    let changes = changes.add_verdict(LISTS, list.number, &list.chain);
    if !list.has_v6 {
        return changes;
    }
    rules_6.push(Rule::of(Family::V6).go_to(REFUSE_LISTED_6));
    let changes = changes.chain(Chain { name: &list.chain_6, hook: None, rules: rules_6 });
    changes.add_verdict(LISTS_6, list.number, &list.chain_6)
}

/// Removes them.
pub fn remove_list<'a>(changes: Transaction<'a>, list: &List) -> Transaction<'a> {
    let mut changes = changes.remove_verdict(LISTS, list.number).remove_chain(&list.chain);
    if list.has_v6 {
        changes = changes.remove_verdict(LISTS_6, list.number).remove_chain(&list.chain_6);
    }
    for group in &list.groups {
        if !group.ranges.is_empty() {
            changes = changes.remove_set(&group.ranges_set);
        }
        if !group.ranges_6.is_empty() && list.has_v6 {
            changes = changes.remove_set(&group.ranges_6_set);
        }
        if !group.names.is_empty() {
            changes = changes.remove_set(&group.names_set);
        }
        if !group.names.is_empty() && list.has_v6 {
            changes = changes.remove_set(&group.names_6_set);
        }
    }
    changes
}

/// Puts an instance under a list.
pub fn add_member<'a>(changes: Transaction<'a>, instance: Ipv4Addr, list: &List) -> Transaction<'a> {
    changes.add_number(MEMBERS, instance, list.number)
}

/// Takes it from under its list.
pub fn remove_member(changes: Transaction<'_>, instance: Ipv4Addr) -> Transaction<'_> {
    changes.remove_number(MEMBERS, instance)
}

/// Removes the platform's table; fails when there is none.
pub fn uninstall(names: &Names) -> Vec<Message> {
    Transaction::on(&names.table).remove_table().messages()
}

/// What is never reached, and what the settings add: all platforms' instances among it.
pub fn denied(config: &Config) -> Vec<Subnet> {
    let never = NEVER.iter().map(|(first, bits)| Subnet::of(*first, *bits));
    never.chain([config.range]).chain(config.denied.iter().copied()).collect()
}

/// The same of IPv6.
pub fn denied_6(config: &Config) -> Vec<Subnet6> {
    let never = NEVER_6.iter().map(|(first, bits)| Subnet6::of(*first, *bits));
    never.chain([config.range6]).chain(config.denied6.iter().copied()).collect()
}

/// A question to the name server.
fn asks(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().destination(name_server).port(protocol, DNS_PORT)
}

/// What it answers.
fn answers(name_server: Ipv4Addr, protocol: i32) -> Rule {
    Rule::new().v4().source(name_server).source_port(protocol, DNS_PORT)
}

fn both(rule: impl Fn(i32) -> Rule) -> [Rule; 2] {
    [libc::IPPROTO_UDP, libc::IPPROTO_TCP].map(rule)
}

/// What comes from instances.
fn from(links: &str, here: Here, config: &Config) -> Vec<Rule> {
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
fn to_relay(links: &str, here: Here) -> Vec<Rule> {
    let to_ports = to_host(here.address).enters_by(links).redirect(here.relay);
    let to_gateway = here.gateway.map(|gateway| to_host(gateway).enters_by(links).send_to(here.address, here.relay));
    [to_ports].into_iter().chain(to_gateway).collect()
}

/// What instances send to where they may.
fn counted(family: Family, connections: Limits) -> Vec<Rule> {
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

/// What goes to instances, from outside and from this machine.
fn to(links: &str, here: Here) -> Vec<Rule> {
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

/// Keeps a machine that passed nothing on as closed as it was, where packets that come in by the
/// given links must now be passed on for the sake of instances: what others send by them to
/// anywhere else is dropped, as it was before, but for what another program asked for (answers, and
/// destinations that it changed).
///
/// There is one table for each family, [`GUARD_TABLE`] and [`GUARD_TABLE_6`]. It lives as long as
/// the settings that it makes up for, until the machine starts anew: either may be in use by
/// another platform. Links are only ever added.
pub fn guard(table: &str, links: &[String]) -> Vec<Message> {
    let of_family = if table == GUARD_TABLE { Rule::new().v4() } else { Rule::new().v6() };
    let stray = of_family.enters_by_one_of(GUARDED).leaves_not_by(LINKS_OF_ALL).of_no_known_connection();
    let hook = Hook { kind: Kind::Filter, place: libc::NF_INET_FORWARD, priority: FILTER };
    Transaction::on(table)
        .table()
        .set(&Set::Links { name: GUARDED, links })
        .chain(Chain { name: "forward", hook: Some(hook), rules: Vec::new() })
        .empty_chain("forward")
        .chain(Chain { name: "forward", hook: Some(hook), rules: vec![stray.destination_unchanged().drop()] })
        .messages()
}

/// Removes the guard; fails when there is none.
pub fn unguard(table: &str) -> Vec<Message> {
    Transaction::on(table).remove_table().messages()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_reached_does_not_depend_on_the_settings() {
        let config = Config { denied: Vec::new(), ..Config::default() };
        let pairs = joined(&denied(&config));
        for never in ["0.0.0.0", "127.0.0.53", "10.222.16.9", "224.0.0.251", "255.255.255.255"] {
            let never: Ipv4Addr = never.parse().expect("an address");
            assert!(pairs.iter().any(|(first, last)| (*first..=*last).contains(&never)), "{never}");
        }
        let pairs = joined(&denied_6(&Config { denied6: Vec::new(), ..Config::default() }));
        for never in [
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:a00:1::1",
            "2001::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd73:616d:7061:6e00::ade:3",
        ] {
            let never: std::net::Ipv6Addr = never.parse().expect("an address");
            assert!(pairs.iter().any(|(first, last)| (*first..=*last).contains(&never)), "{never}");
        }
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        assert!(denied(&Config::default()).iter().any(|range| range.contains(metadata)));
    }
}
