//! Egress lists: their chains and sets, and the instances that are restricted to them. Pure.

use std::net::Ipv4Addr;

use super::REFUSE;
use crate::egress::List;
use crate::nft::{Chain, Family, Rule, Set, Transaction};

pub(super) const REFUSALS: &str = "refusals";
pub(super) const REFUSE_LISTED: &str = "refuse-listed";
pub(super) const REFUSE_LISTED_6: &str = "refuse-listed-6";
pub(super) const MEMBERS: &str = "members";
pub(super) const LISTS: &str = "lists";
pub(super) const LISTS_6: &str = "lists-6";
/// Rejected packets of one instance that are reported per second.
const REFUSALS_PER_S_MAX: u32 = 20;

/// Rejects what is not on a list, and reports it to the log group.
pub(super) fn refuse_listed(family: Family, log_group: Option<u16>) -> Vec<Rule> {
    match log_group {
        Some(group) => vec![
            Rule::of(family).over_rate(REFUSALS, REFUSALS_PER_S_MAX).go_to(REFUSE),
            Rule::of(family).log(group).go_to(REFUSE),
        ],
        None => vec![Rule::of(family).go_to(REFUSE)],
    }
}

/// Makes the chains and sets of a list, unless they exist.
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

/// Removes the chains and sets of a list.
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

/// Restricts an instance to a list.
pub fn add_member<'a>(changes: Transaction<'a>, instance: Ipv4Addr, list: &List) -> Transaction<'a> {
    changes.add_number(MEMBERS, instance, list.number)
}

/// Removes the restriction of an instance.
pub fn remove_member(changes: Transaction<'_>, instance: Ipv4Addr) -> Transaction<'_> {
    changes.remove_number(MEMBERS, instance)
}
