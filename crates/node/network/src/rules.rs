//! What instances may reach and who may reach them, as packet rules. Pure.
//!
//! One table per platform, the same however many instances there are: a link is known by how its
//! name begins, and who may send from it by the machine's own route to its address.
//!
//! ```text
//! asked    before tracking  what instances ask the name server is no connection, nor are its answers
//! from     before routing   IPv4 · own address · name server, not too fast · host relay · not this machine · not denied · on its list · counted
//! counted  -                not too many · tcp udp ping
//! to       after routing    answers and errors only
//! nat      after routing    leaves as the machine
//! host     before routing   connections to any port of this machine's one address, and of the
//!                           gateway's, become the relay's
//! ```
//!
//! Functions with a list of what they may reach share three more sets and chains: `members` has the
//! number of the list of an instance's address, `lists` the chain of a number, and the chain, one a
//! list, returns for what is on it and otherwise goes to `refuse-listed`, which reports and refuses.
//! An instance without a list is in none of them, and what it sends costs one failed lookup until
//! its connection is established.

use std::net::Ipv4Addr;

use crate::config::{Config, NEVER};
use crate::connections::Limits;
use crate::egress::List;
use crate::names::{LINKS_OF_ALL, Names};
use crate::netlink::Message;
use crate::nft::{Chain, Hook, Kind, Rule, Set, Transaction};
use crate::subnet::{Subnet, joined};

/// Port of name servers.
pub const DNS_PORT: u16 = 53;
/// The table that all platforms of a machine share, see [`guard`].
pub const GUARD_TABLE: &str = "sampan-forwarding";

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
    Transaction::on(&names.table)
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
        .chain(Chain {
            name: REFUSE_LISTED,
            hook: None,
            rules: match log_group {
                Some(group) => vec![
                    Rule::new().over_rate(REFUSALS, REFUSALS_PER_S_MAX).go_to(REFUSE),
                    Rule::new().log(group).go_to(REFUSE),
                ],
                None => vec![Rule::new().go_to(REFUSE)],
            },
        })
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
        .chain(Chain { name: COUNTED, hook: None, rules: counted(connections) })
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
            rules: to(&names.links, name_server),
        })
        .chain(Chain {
            name: "nat",
            hook: hook(Kind::Nat, libc::NF_INET_POST_ROUTING, SOURCE_CHANGES),
            rules: vec![Rule::new().v4().source_in(block).leaves_not_by(&names.links).masquerade()],
        })
}

/// Makes the chain of a list, unless it is there, and its sets.
pub fn add_list<'a>(changes: Transaction<'a>, list: &List) -> Transaction<'a> {
    let (mut changes, mut rules) = (changes, Vec::new());
    for group in &list.groups {
        let with_ports = || match group.ports {
            Some((first, last)) => Rule::new().port_between(first, last),
            None => Rule::new(),
        };
        if !group.ranges.is_empty() {
            changes = changes.set(&Set::Ranges { name: &group.ranges_set, ranges: &group.ranges });
            rules.push(with_ports().destination_in(&group.ranges_set).back());
        }
        if !group.names.is_empty() {
            changes = changes.set(&Set::Addresses { name: &group.names_set });
            rules.push(with_ports().destination_in(&group.names_set).back());
        }
    }
    rules.push(Rule::new().go_to(REFUSE_LISTED));
    changes.chain(Chain { name: &list.chain, hook: None, rules }).add_verdict(LISTS, list.number, &list.chain)
}

/// Removes them.
pub fn remove_list<'a>(changes: Transaction<'a>, list: &List) -> Transaction<'a> {
    let mut changes = changes.remove_verdict(LISTS, list.number).remove_chain(&list.chain);
    for group in &list.groups {
        if !group.ranges.is_empty() {
            changes = changes.remove_set(&group.ranges_set);
        }
        if !group.names.is_empty() {
            changes = changes.remove_set(&group.names_set);
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
    before.into_iter().chain(to_gateway).chain(outside).collect()
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
fn counted(connections: Limits) -> Vec<Rule> {
    vec![
        Rule::new().new_connection().over_connections(CONNECTIONS, connections.per_instance).drop(),
        Rule::new()
            .new_connection()
            .over_connections(ASSURED, connections.assured)
            .over_share(SHARES, connections.per_share)
            .drop(),
        Rule::new().protocol(libc::IPPROTO_TCP).accept(),
        Rule::new().protocol(libc::IPPROTO_UDP).accept(),
        Rule::new().icmp(ECHO_REQUEST).accept(),
        Rule::new().drop(),
    ]
}

/// What goes to instances, from outside and from this machine.
fn to(links: &str, name_server: Ipv4Addr) -> Vec<Rule> {
    let [by_udp, by_tcp] = both(|protocol| answers(name_server, protocol).accept());
    vec![
        Rule::new().leaves_not_by(links).accept(),
        Rule::new().of_known_connection().accept(),
        by_udp,
        by_tcp,
        // Refusals of what was never let through belong to no connection.
        Rule::new().icmp(UNREACHABLE).accept(),
        Rule::new().drop(),
    ]
}

/// Keeps a machine that passed nothing on as closed as it was, where packets that come in by the
/// given links must now be passed on for the sake of instances: what others send by them to
/// anywhere else is dropped, as it was before, but for what another program asked for (answers, and
/// destinations that it changed).
///
/// The table lives as long as the settings that it makes up for, until the machine starts anew:
/// either may be in use by another platform. Links are only ever added.
pub fn guard(links: &[String]) -> Vec<Message> {
    let stray = Rule::new().enters_by_one_of(GUARDED).leaves_not_by(LINKS_OF_ALL).of_no_known_connection();
    let hook = Hook { kind: Kind::Filter, place: libc::NF_INET_FORWARD, priority: FILTER };
    Transaction::on(GUARD_TABLE)
        .table()
        .set(&Set::Links { name: GUARDED, links })
        .chain(Chain { name: "forward", hook: Some(hook), rules: Vec::new() })
        .empty_chain("forward")
        .chain(Chain { name: "forward", hook: Some(hook), rules: vec![stray.destination_unchanged().drop()] })
        .messages()
}

/// Removes the guard; fails when there is none.
pub fn unguard() -> Vec<Message> {
    Transaction::on(GUARD_TABLE).remove_table().messages()
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
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        assert!(denied(&Config::default()).iter().any(|range| range.contains(metadata)));
    }
}
