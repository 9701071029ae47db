//! The handle: making the machine ready, links for namespaces, and removing all of it.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use rustix::net::netdevice::name_to_index;
use sys::namespace::NewNetwork;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::config::{Config, Ipv6};
use crate::connections::Limits;
use crate::dns::{IsOwnName, NameServer, OwnNames, Resolving};
use crate::egress::{EgressLists, RefusalLog};
use crate::error::Error;
use crate::host::{HostNetwork, check_forever, report_forwarding, resolvers};
use crate::host_relay::{AccessTable, GatewayConnection, GatewayPorts, HostRelay};
use crate::ipv6;
use crate::link::Link;
use crate::names::{LOOPBACK, Names};
use crate::netlink::Socket;
use crate::resolv_conf;
use crate::rules::Here;
use crate::subnet::{Subnet, free_blocks};
use crate::{forwarding, leftovers, route, rules};

/// How many connections the kernel tracks. There only when it tracks any, which rules about them
/// make it do.
const TRACKED_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// What is assumed until then, which is less than on any machine but the smallest.
const TRACKED_MAX_ASSUMED: u32 = 1 << 16;

/// The egress of one platform's instances; cheap to clone.
#[derive(Clone)]
pub struct Network {
    inner: Arc<HostNetwork>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the tasks with the last handle; what is in the kernel stays until the next start.
    _stops: Arc<DropGuard>,
}

impl Network {
    /// Removes what an earlier platform of the same number left, then makes the machine ready, in
    /// the network namespace of the calling thread. Blocks for some milliseconds. Links of the
    /// earlier one must have no processes any more.
    ///
    /// Nothing where the settings switch it off; what an earlier one left is removed all the same.
    pub fn open(platform: u64, config: Config, runtime: &Handle) -> Result<Option<Self>, Error> {
        config.check()?;
        let names = Names::of(platform);
        let (mut route, mut netfilter) = match clear(&names) {
            Ok(sockets) => sockets,
            Err(error) if !config.enabled => {
                // Whatever the kernel lacks for it, an earlier one cannot have used.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "nothing of an earlier network was looked for"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if !config.enabled {
            return Ok(None);
        }
        let opened = Self::make(platform, config, runtime, &mut route, &mut netfilter);
        opened.map(Some).inspect_err(|_| {
            if let Err(error) = leftovers::remove(&names, &mut route, &mut netfilter) {
                tracing::warn!(table = names.table, %error, "what was made of the network so far was left behind");
            }
        })
    }

    fn make(
        platform: u64,
        config: Config,
        runtime: &Handle,
        route: &mut Socket,
        netfilter: &mut Socket,
    ) -> Result<Self, Error> {
        let names = Names::of(platform);
        let block = claim(platform, &config, &names, route)?;
        let addresses = Addresses::new(block);
        let name_server = addresses.name_server();
        let gateway = config.gateway.then(|| addresses.gateway());
        let relaying = |source| Error::HostRelay { address: name_server, source };
        let host_relay = HostRelay::bind(name_server).map_err(relaying)?;
        let mut ipv6 = ipv6::state(config.ipv6, route)?;
        let mut here = Here { address: name_server, gateway, relay: host_relay.port(), has_v6: ipv6.is_ok() };
        if here.has_v6
            && let Err(error) = ipv6::ensure(route, netfilter).map(|on| report_forwarding(&on, rules::GUARD_TABLE_6))
        {
            without_ipv6(&config, &mut ipv6, &mut here, error)?;
        }
        let installed =
            install(netfilter, &names, block, here, &addresses, &config, refusal_log(platform)).or_else(|error| {
                if !here.has_v6 {
                    return Err(error);
                }
                without_ipv6(&config, &mut ipv6, &mut here, error)?;
                install(netfilter, &names, block, here, &addresses, &config, refusal_log(platform))
            });
        let (connections, log) = installed?;
        report_forwarding(&forwarding::ensure(route, netfilter)?, rules::GUARD_TABLE);
        let listening = |source| Error::NameServer { address: name_server, source };
        let server = NameServer::bind(name_server).map_err(listening)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let socket = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
        let netfilter = Arc::new(Mutex::new(socket));
        let egress = Arc::new(EgressLists::new(&names.table, netfilter.clone(), &config, here.has_v6));
        let inner = Arc::new(HostNetwork {
            resolving: Resolving::new(resolvers(&config).into()),
            names,
            block,
            here,
            ipv6,
            connections,
            access: Arc::new(AccessTable::default()),
            gateway: Arc::new(GatewayPorts::new(gateway)),
            own_names: Arc::new(OwnNames::new(name_server, gateway)),
            addresses: Mutex::new(addresses),
            next_link: AtomicU32::new(0),
            route: Mutex::new(Socket::route().map_err(Error::kernel("open", "a netlink socket"))?),
            netfilter,
            egress: egress.clone(),
            log_group: log.as_ref().map(|log| log.group),
            config,
        });
        let answers = (inner.resolving.clone(), egress.clone(), inner.own_names.clone());
        server.serve(block, answers, &inner.config, runtime, &tasks, &stop).map_err(listening)?;
        let reached = (inner.access.clone(), inner.gateway.clone());
        host_relay.serve(reached, &inner.config, runtime, &tasks, &stop).map_err(relaying)?;
        if let Some(log) = log {
            let watch = log.watch(egress, runtime).map_err(Error::kernel("listen to", "refused packets"))?;
            tasks.spawn_on(stop.clone().run_until_cancelled_owned(watch), runtime);
        }
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(check_forever(inner.clone())), runtime);
        if let Err(reason) = ipv6 {
            tracing::debug!(reason, "instances have no IPv6");
        }
        tracing::debug!(%block, table = inner.names.table, "instances have egress");
        Ok(Self { inner, tasks, _stops: Arc::new(stop.clone().drop_guard()), stop })
    }

    /// Makes a link between this machine and a new namespace, which must be the calling thread's,
    /// without links beyond its loopback. When it fails, the namespace is to be dropped.
    pub fn link(&self, new: &NewNetwork) -> Result<Link, Error> {
        Link::make(&self.inner, new)
    }

    /// What `/etc/resolv.conf` is to say where there is a link.
    pub fn resolv_conf(&self) -> String {
        resolv_conf::write(self.inner.here.address, &self.inner.resolving.read().search)
    }

    /// How many links are to be kept ready: while there is little demand, and at most.
    pub fn links_ready(&self) -> (usize, usize) {
        (self.inner.config.links_ready, self.inner.config.links_ready_max)
    }

    /// The addresses of the links.
    pub fn block(&self) -> Subnet {
        self.inner.block
    }

    /// Where links' namespaces ask for names.
    pub fn name_server(&self) -> Ipv4Addr {
        self.inner.here.address
    }

    /// Where links' namespaces reach the gateway, if they may.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.inner.here.gateway
    }

    /// Why instances have no IPv6; nothing where they have it.
    pub fn ipv6_off(&self) -> Option<&'static str> {
        self.inner.ipv6.err()
    }

    /// Says which names lead to the gateway: questions of links for them get its address.
    pub fn set_gateway_names(&self, names: IsOwnName) {
        self.inner.own_names.set(names);
    }

    /// Connections of links to these ports of the gateway's address, from now on; nothing where
    /// they may not reach it. A port belongs to the first that takes it.
    pub fn gateway_connections(&self, ports: &[u16]) -> Option<mpsc::Receiver<GatewayConnection>> {
        self.inner.here.gateway.map(|_| self.inner.gateway.take(ports))
    }

    /// Ends the name server and removes everything from the kernel but what other platforms may
    /// need. No link must have processes any more.
    pub async fn close(&self) -> Result<(), Error> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let inner = self.inner.clone();
        let removed = tokio::task::spawn_blocking(move || {
            leftovers::remove(&inner.names, &mut inner.route.lock(), &mut inner.netfilter.lock())
        });
        match removed.await {
            Ok(removed) => removed.map(drop),
            // The runtime is ending: the next start removes it.
            Err(_) => Ok(()),
        }
    }
}

/// Goes on without IPv6, unless the settings want it in any case.
fn without_ipv6(config: &Config, state: &mut ipv6::State, here: &mut Here, error: Error) -> Result<(), Error> {
    if config.ipv6 == Ipv6::On {
        return Err(error);
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "instances have no IPv6");
    (*state, here.has_v6) = (Err("the kernel refused what it needs; see the platform's log"), false);
    Ok(())
}

/// Where the kernel reports refused packets; nothing where it cannot.
fn refusal_log(platform: u64) -> Option<RefusalLog> {
    let log = RefusalLog::open(platform);
    log.inspect_err(|error| tracing::warn!(%error, "cannot hear of refused packets (nfnetlink_log)")).ok()
}

/// Puts the packet rules in place. Returns how many connections they let through, and the log where
/// they report.
fn install(
    netfilter: &mut Socket,
    names: &Names,
    block: Subnet,
    here: Here,
    addresses: &Addresses,
    config: &Config,
    mut log: Option<RefusalLog>,
) -> Result<(Limits, Option<RefusalLog>), Error> {
    let mut put = |connections: Limits| loop {
        let group = log.as_ref().map(|log| log.group);
        let rules = rules::install(names, block, here, config, connections, group);
        match netfilter.send(rules.messages()) {
            Err(error) if group.is_some() && error.raw_os_error() == Some(libc::ENOENT) => {
                tracing::warn!(%error, "cannot report refused packets (nft_log)");
                log = None;
            }
            sent => return sent.map_err(Error::kernel("install the packet rules", &names.table)),
        }
    };
    if tracked_max().is_none() {
        let any = Config { connections_total_max: 0, ..config.clone() };
        put(Limits::new(&any, TRACKED_MAX_ASSUMED, addresses.links_max())?)?;
    }
    let connections = Limits::new(config, tracked_max().unwrap_or(TRACKED_MAX_ASSUMED), addresses.links_max())?;
    put(connections)?;
    Ok((connections, log))
}

fn tracked_max() -> Option<u32> {
    fs::read_to_string(TRACKED_MAX).ok()?.trim().parse().ok().filter(|max| *max > 0)
}

/// Sockets, when everything is removed that an earlier platform left.
fn clear(names: &Names) -> Result<(Socket, Socket), Error> {
    let mut route = Socket::route().map_err(Error::kernel("open", "a netlink socket"))?;
    let mut netfilter = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
    let removed = leftovers::remove(names, &mut route, &mut netfilter)?;
    if removed > 0 {
        tracing::info!(table = names.table, removed, "removed what an earlier platform left of its network");
    }
    Ok((route, netfilter))
}

/// Takes a block that nobody uses: its name server's address goes to the loopback, under our label,
/// and a route says that it is taken. The address is first: by its label all else is found again.
fn claim(platform: u64, config: &Config, names: &Names, route: &mut Socket) -> Result<Subnet, Error> {
    let loopback = name_to_index(&*route, LOOPBACK).map_err(io::Error::from);
    let loopback = loopback.map_err(Error::kernel("find the link", LOOPBACK))?;
    // A route to everywhere, or to half of it, is a way out and no use.
    let routes = forwarding::routes(route)?;
    let in_use: Vec<Subnet> = routes.iter().map(|r| r.to).filter(|to| to.prefix_bits() > 1).collect();
    for block in free_blocks(config.range, config.block_prefix_bits, &in_use, platform) {
        let address = Addresses::new(block).name_server();
        route
            .send(vec![route::add_address(loopback, address, Some(&names.label))])
            .map_err(Error::kernel("add the address", address))?;
        match route.send(vec![route::claim(block)]) {
            Ok(()) => return Ok(block),
            // Another platform that starts just now was faster.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                route
                    .send(vec![route::remove_address(loopback, address)])
                    .map_err(Error::kernel("remove the address", address))?;
            }
            Err(error) => return Err(Error::kernel("claim", block)(error)),
        }
    }
    Err(Error::NoFreeBlock { range: config.range, block_prefix_bits: config.block_prefix_bits })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::egress::EgressSpec;
    use crate::nft;

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
}
