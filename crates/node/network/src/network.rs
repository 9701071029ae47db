//! The handle: making the machine ready, links for namespaces, and removing all of it.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use rustix::net::netdevice::name_to_index;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::config::Config;
use crate::connections::Limits;
use crate::dns::{NameServer, Resolving};
use crate::error::Error;
use crate::host::{HostNetwork, check_forever, report_forwarding, resolvers};
use crate::link::Link;
use crate::names::{LOOPBACK, Names};
use crate::netlink::Socket;
use crate::resolv_conf;
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
        let connections = install(netfilter, &names, block, &addresses, &config)?;
        report_forwarding(&forwarding::ensure(route, netfilter)?);
        let listening = |source| Error::NameServer { address: name_server, source };
        let server = NameServer::bind(name_server).map_err(listening)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let inner = Arc::new(HostNetwork {
            resolving: Resolving::new(resolvers(&config).into()),
            names,
            block,
            name_server,
            connections,
            addresses: Mutex::new(addresses),
            next_link: AtomicU32::new(0),
            route: Mutex::new(Socket::route().map_err(Error::kernel("open", "a netlink socket"))?),
            netfilter: Mutex::new(Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?),
            config,
        });
        server.serve(block, inner.resolving.clone(), &inner.config, runtime, &tasks, &stop).map_err(listening)?;
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(check_forever(inner.clone())), runtime);
        tracing::debug!(%block, table = inner.names.table, "instances have egress");
        Ok(Self { inner, tasks, _stops: Arc::new(stop.clone().drop_guard()), stop })
    }

    /// Makes a link between this machine and `namespace`, which must be the calling thread's,
    /// without links beyond its loopback. When it fails, the namespace is to be dropped.
    pub fn link(&self, namespace: BorrowedFd<'_>) -> Result<Link, Error> {
        Link::make(&self.inner, namespace)
    }

    /// What `/etc/resolv.conf` is to say where there is a link.
    pub fn resolv_conf(&self) -> String {
        resolv_conf::write(self.inner.name_server, &self.inner.resolving.read().search)
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
        self.inner.name_server
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

/// Puts the packet rules in place. Returns how many connections they let through.
fn install(
    netfilter: &mut Socket,
    names: &Names,
    block: Subnet,
    addresses: &Addresses,
    config: &Config,
) -> Result<Limits, Error> {
    let mut put = |connections: Limits| {
        let rules = rules::install(names, block, addresses.name_server(), config, connections);
        netfilter.send(rules).map_err(Error::kernel("install the packet rules", &names.table))
    };
    if tracked_max().is_none() {
        let any = Config { connections_total_max: 0, ..config.clone() };
        put(Limits::new(&any, TRACKED_MAX_ASSUMED, addresses.links_max())?)?;
    }
    let connections = Limits::new(config, tracked_max().unwrap_or(TRACKED_MAX_ASSUMED), addresses.links_max())?;
    put(connections)?;
    Ok(connections)
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
    use crate::nft;

    /// In a machine of its own. Needs root.
    #[test]
    fn privileged_rules_that_another_program_flushed_are_installed_again() {
        let home = sys::namespace::current_network().expect("it has one");
        sys::namespace::new_network(home.as_fd(), || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let network = Network::open(1, Config::default(), runtime.handle()).expect("opened").expect("on");
            let inner = &network.inner;
            let there = || inner.netfilter.lock().send(vec![nft::find_table(&inner.names.table)]);
            inner.netfilter.lock().send(rules::uninstall(&inner.names))?;
            assert_eq!(there().expect_err("gone").raw_os_error(), Some(libc::ENOENT));
            inner.check().expect("checked");
            there()?;
            runtime.block_on(network.close()).expect("closed");
            assert!(there().is_err());
            Ok(())
        })
        .expect("a namespace of its own");
    }
}
