//! Links and lists as the kernel has them. Needs root.

use std::io;
use std::os::fd::AsFd;

use rustix::net::netdevice::name_to_index;

use super::*;
use crate::config::Config;
use crate::egress::EgressSpec;
use crate::netlink::Socket;
use crate::{nft, route, rules};

/// Runs a test in a machine of its own. Needs root.
fn on_machine(test: impl FnOnce(&Network) -> io::Result<()>) {
    let home = sys::namespace::current_network().expect("it has one");
    sys::namespace::new_network(home.as_fd(), || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let network = Network::open(1, Config::default(), runtime.handle()).expect("opened").expect("on");
        test(&network)?;
        runtime.block_on(network.close()).expect("closed");
        Ok(())
    })
    .expect("a namespace of its own");
}

/// A link to a namespace of its own.
fn link(network: &Network) -> io::Result<Link> {
    link_from(network, &sys::namespace::current_network()?)
}

/// The same from a thread that then returns to this namespace.
fn link_from(network: &Network, machine: &std::os::fd::OwnedFd) -> io::Result<Link> {
    let mut link = None;
    sys::namespace::make_network(machine.as_fd(), |new| {
        link = Some(network.link(new).expect("a link"));
        Ok(())
    })?;
    let link = link.expect("made");
    link.complete().expect("completed");
    Ok(link)
}

fn spec(owner: &str, entries: &[&str]) -> EgressSpec {
    let list = types::Egress::parse(entries).expect("a list");
    EgressSpec { owner: owner.to_owned(), list, refused: Arc::new(|_| {}) }
}

/// Chains of lists in the kernel.
fn chains(network: &Network) -> io::Result<Vec<String>> {
    let chains = network.inner.netfilter.lock().list(nft::list_chains())?;
    let names = chains.iter().filter_map(|chain| nft::read_chain(chain)).map(|chain| chain.name);
    let mut lists: Vec<String> = names.filter(|name| name.starts_with("list-")).collect();
    lists.sort_unstable();
    Ok(lists)
}

#[test]
fn privileged_a_start_with_a_list_sends_one_transaction_and_one_without_nothing() {
    on_machine(|network| {
        let sent = || {
            let (route, netfilter) = (network.inner.route.lock(), network.inner.netfilter.lock());
            (route.sent(), netfilter.sent())
        };
        link(network)?;
        let before = sent();
        let plain = link(network)?;
        let after = sent();
        // The pair, its outer end and the route, and looks until it carries packets.
        assert_eq!(after.1, before.1, "a start without a list sent something about packet rules");
        drop(plain);
        assert_eq!(sent().1, before.1, "its end did");
        let first = link(network)?;
        first.restrict(spec("f", &["10.0.0.0/8", "db.example.com:5432"])).expect("restricted");
        let with_list = sent().1;
        let (second, before) = (link(network)?, sent());
        second.restrict(spec("f", &["10.0.0.0/8", "db.example.com:5432"])).expect("restricted");
        // Begin, the element, end.
        assert_eq!((sent().0, sent().1 - with_list), (before.0, 3));
        Ok(())
    });
}

#[test]
fn privileged_a_link_takes_few_exchanges_with_the_kernel() {
    on_machine(|network| {
        link(network)?;
        let counts = || {
            let route = network.inner.route.lock();
            (route.sent(), route.read())
        };
        let before = counts();
        let held = link(network)?;
        let after = counts();
        // The pair and three changes of its outer end, answered as one; looks until it carries
        // packets, of which newer kernels need one.
        let (sent, read) = (after.0 - before.0, after.1 - before.1);
        let looks = sent - 4;
        assert!(looks >= 1 && read == 1 + looks, "{sent} messages, {read} answers");
        drop(held);
        assert_eq!(counts(), after, "its end takes the kernel's own time, not ours");
        Ok(())
    });
}

#[test]
fn privileged_a_link_of_another_program_keeps_its_index_and_is_not_changed() {
    on_machine(|network| {
        let inner = &network.inner;
        let number = inner.next_link() + 1;
        let index = inner.names.index(number);
        let here = sys::namespace::current_network()?;
        let mut another = Socket::route()?;
        // Both ends are here, so that the other has an index of its own.
        sys::namespace::new_network(here.as_fd(), || {
            let there = sys::namespace::current_network()?;
            let pair = route::make_pair("other", "peer", index, 7, std::os::fd::AsRawFd::as_raw_fd(&there));
            another.send(vec![pair])?;
            let looked_at = |socket: &mut Socket| socket.request(route::find_link(index));
            let before = looked_at(&mut another)?;
            let link = link_from(network, &here)?;
            let outer = name_to_index(&another, &inner.names.link(number + 1))?;
            assert_eq!(outer, inner.names.index(number + 1), "the next one");
            assert_eq!(route::read_link(&looked_at(&mut another)?), route::read_link(&before));
            drop(link);
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn privileged_a_list_is_there_while_an_instance_is_under_it() {
    on_machine(|network| {
        let (first, second, other) = (link(network)?, link(network)?, link(network)?);
        first.restrict(spec("f", &["10.0.0.0/8"])).expect("restricted");
        second.restrict(spec("f", &["10.0.0.0/8"])).expect("restricted");
        assert_eq!(chains(network)?, ["list-0"]);
        other.restrict(spec("g", &["10.0.0.0/8", "*.example.com:80-90", "none.example"])).expect("restricted");
        assert_eq!(chains(network)?, ["list-0", "list-1"]);
        drop(first);
        assert_eq!(chains(network)?, ["list-0", "list-1"]);
        drop(second);
        assert_eq!(chains(network)?, ["list-1"]);
        let member = network.inner.egress.member(other.address()).expect("it is under one");
        let learn = |last: u8| network.inner.egress.learn(&member, "a.example.com", &[[192, 0, 2, last].into()]);
        learn(1).and_then(|()| learn(2)).expect("learned");
        // With its chains, sets and what was learned.
        network.inner.netfilter.lock().send(rules::uninstall(&network.inner.names))?;
        network.inner.check().expect("checked");
        assert_eq!(chains(network)?, ["list-1"]);
        drop(other);
        assert_eq!(chains(network)?, [""; 0]);
        Ok(())
    });
}

#[test]
fn privileged_rules_that_another_program_flushed_are_installed_again() {
    on_machine(|network| {
        let inner = &network.inner;
        let there = || inner.netfilter.lock().send(vec![nft::find_table(&inner.names.table)]);
        inner.netfilter.lock().send(rules::uninstall(&inner.names))?;
        assert_eq!(there().expect_err("gone").raw_os_error(), Some(libc::ENOENT));
        inner.check().expect("checked");
        there()
    });
}
