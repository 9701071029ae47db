//! Egress lists of functions: installed in the kernel while an instance uses them, and extended
//! with addresses of names as instances resolve them.
//!
//! Instances of a function share one list in the kernel; each instance costs one map element.
//! Addresses that one instance resolved are allowed for all of them.

mod list;
mod members;
mod refusals;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use types::Egress;

pub use list::List;
pub use members::{EgressSpec, Member, Refused};
pub use refusals::RefusalLog;

use crate::config::Config;
use crate::error::Error;
use crate::forwarding::not_found;
use crate::netlink::Socket;
use crate::nft::Transaction;
use crate::rules;
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// The lists of one platform.
pub struct EgressLists {
    table: String,
    netfilter: Arc<Mutex<Socket>>,
    /// Ranges that names cannot open.
    denied: Vec<Subnet>,
    /// The same for IPv6; `None` where instances have no IPv6.
    denied_6: Option<Vec<Subnet6>>,
    addresses_max: usize,
    refusals_logged_max: usize,
    /// Lock order: this before the socket.
    lists: Mutex<Lists>,
    /// Restricted instances by address.
    members: RwLock<HashMap<Ipv4Addr, Arc<Member>>>,
}

#[derive(Default)]
struct Lists {
    next_number: u32,
    active: HashMap<Key, Active>,
}

/// Key of a list: instances of one function with the same entries share it.
type Key = (String, Egress);

/// A list that is in the kernel.
struct Active {
    list: Arc<List>,
    members: usize,
    /// For each group, the addresses of its names and when a response last contained them.
    learned: Vec<HashMap<IpAddr, u64>>,
    answers: u64,
}

impl EgressLists {
    /// No lists, in the given table.
    pub fn new(table: &str, netfilter: Arc<Mutex<Socket>>, config: &Config, has_v6: bool) -> Self {
        Self {
            table: table.to_owned(),
            netfilter,
            denied: rules::denied(config),
            denied_6: has_v6.then(|| rules::denied_6(config)),
            addresses_max: config.egress_addresses_max,
            refusals_logged_max: config.egress_refusals_logged_max,
            lists: Mutex::default(),
            members: RwLock::default(),
        }
    }

    /// Restricts the instance at an address to a list, in one transaction. The first instance of a
    /// list creates it.
    pub fn add(&self, instance: Ipv4Addr, spec: EgressSpec) -> Result<(), Error> {
        let key = (spec.owner.clone(), spec.list.clone());
        let mut lists = self.lists.lock();
        let number = lists.next_number;
        let (list, is_new) = match lists.active.get(&key) {
            Some(active) => (active.list.clone(), false),
            None => (Arc::new(List::new(number, &spec.list, self.denied_6.is_some())), true),
        };
        let mut changes = Transaction::on(&self.table);
        if is_new {
            changes = rules::add_list(changes, &list);
        }
        let changes = rules::add_member(changes, instance, &list);
        let sent = self.netfilter.lock().send(changes.messages_acknowledged_once());
        sent.map_err(Error::kernel("restrict the egress of", instance))?;
        if is_new {
            lists.next_number = number.wrapping_add(1);
        }
        let active = match lists.active.entry(key) {
            Entry::Occupied(active) => active.into_mut(),
            Entry::Vacant(place) => place.insert(Active {
                learned: list.groups.iter().map(|_| HashMap::new()).collect(),
                list: list.clone(),
                members: 0,
                answers: 0,
            }),
        };
        active.members += 1;
        let member = Arc::new(Member::new(spec, list, self.refusals_logged_max));
        self.members.write().insert(instance, member);
        Ok(())
    }

    /// Removes an instance that has ended; its list is removed with the last instance.
    pub fn remove(&self, instance: Ipv4Addr) {
        let Some(member) = self.members.write().remove(&instance) else { return };
        let mut lists = self.lists.lock();
        let mut changes = rules::remove_member(Transaction::on(&self.table), instance);
        if let Entry::Occupied(mut active) = lists.active.entry(member.key()) {
            active.get_mut().members -= 1;
            if active.get().members == 0 {
                changes = rules::remove_list(changes, &active.remove().list);
            }
        }
        // Another program may have flushed the rules.
        let gone = self.netfilter.lock().send(changes.messages_acknowledged_once()).or_else(not_found);
        if let Err(error) = gone {
            tracing::error!(%instance, %error, "cannot remove an ended instance from its egress list");
        }
    }

    /// The list that an instance is restricted to.
    pub fn member(&self, instance: Ipv4Addr) -> Option<Arc<Member>> {
        self.members.read().get(&instance).cloned()
    }

    /// Allows the addresses that a name on the list resolved to. They are allowed when this
    /// returns, and stay allowed when later responses have others; over the limit, the ones that
    /// responses contained least recently are removed. Blocks.
    pub fn learn(&self, member: &Member, name: &str, answered: &[IpAddr]) -> Result<(), Error> {
        let answered: Vec<IpAddr> = answered.iter().copied().filter(|address| self.may_open(*address)).collect();
        let mut lists = self.lists.lock();
        // The instance may have ended since its query.
        let Some(active) = lists.active.get_mut(&member.key()) else { return Ok(()) };
        active.answers += 1;
        let (list, answers) = (active.list.clone(), active.answers);
        let mut changes = Transaction::on(&self.table);
        let (mut learned, mut is_changed) = (Vec::new(), false);
        for (index, group) in list.groups.iter().enumerate().filter(|(_, group)| group.has_name(name)) {
            let known = &mut active.learned[index];
            let mut new: Vec<IpAddr> = Vec::new();
            for address in &answered {
                match known.get_mut(address) {
                    Some(answered) => *answered = answers,
                    None if !new.contains(address) => new.push(*address),
                    None => {}
                }
            }
            new.truncate(self.addresses_max);
            let old = oldest(known, (known.len() + new.len()).saturating_sub(self.addresses_max));
            is_changed |= !new.is_empty();
            let (old_4, old_6) = by_family(&old);
            let (new_4, new_6) = by_family(&new);
            changes = changes.remove_addresses(&group.names_set, &old_4).add_addresses(&group.names_set, &new_4);
            changes = changes.remove_addresses(&group.names_6_set, &old_6).add_addresses(&group.names_6_set, &new_6);
            learned.push((index, old, new));
        }
        if !is_changed {
            return Ok(());
        }
        let sent = self.netfilter.lock().send(changes.messages_acknowledged_once());
        sent.map_err(Error::kernel("open the addresses of", name))?;
        for (index, old, new) in learned {
            for address in &old {
                active.learned[index].remove(address);
            }
            active.learned[index].extend(new.into_iter().map(|address| (address, answers)));
        }
        Ok(())
    }

    /// Whether a name may open an address: not if it is denied. Addresses of this host and of other
    /// instances are rejected before the list is consulted.
    fn may_open(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => !self.denied.iter().any(|range| range.contains(address)),
            IpAddr::V6(address) => {
                self.denied_6.as_ref().is_some_and(|denied| !denied.iter().any(|range| range.contains(address)))
            }
        }
    }

    /// Reports a rejected destination of an instance.
    pub fn report(&self, instance: Ipv4Addr, refused: Refused) {
        if let Some(member) = self.member(instance) {
            member.report(refused);
        }
    }

    /// Installs rules that another program removed, and every list with them.
    pub fn reinstall(&self, rules: Transaction<'_>) -> io::Result<()> {
        let lists = self.lists.lock();
        let mut changes = rules;
        for active in lists.active.values() {
            changes = rules::add_list(changes, &active.list);
            for (group, learned) in active.list.groups.iter().zip(&active.learned) {
                let (v4, v6) = by_family(&learned.keys().copied().collect::<Vec<_>>());
                changes = changes.add_addresses(&group.names_set, &v4).add_addresses(&group.names_6_set, &v6);
            }
        }
        for (instance, member) in self.members.read().iter() {
            changes = rules::add_member(changes, *instance, &member.list);
        }
        self.netfilter.lock().send(changes.messages())
    }
}

/// Splits addresses by family.
fn by_family(addresses: &[IpAddr]) -> (Vec<IpAddr>, Vec<IpAddr>) {
    addresses.iter().copied().partition(IpAddr::is_ipv4)
}

/// The addresses that responses contained least recently.
fn oldest(known: &HashMap<IpAddr, u64>, count: usize) -> Vec<IpAddr> {
    if count == 0 {
        return Vec::new();
    }
    let mut by_age: Vec<(u64, IpAddr)> = known.iter().map(|(address, answered)| (*answered, *address)).collect();
    by_age.sort_unstable();
    by_age.into_iter().take(count).map(|(_, address)| address).collect()
}
