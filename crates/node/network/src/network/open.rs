//! Prepares the host for the links of a platform, and starts the tasks that serve them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Network;
use super::block::claim;
use super::packet_rules::{self, Parts};
use crate::addresses::Addresses;
use crate::config::Config;
use crate::dns::{NameServer, OwnNames, Resolving};
use crate::egress::{EgressLists, RefusalLog};
use crate::error::Error;
use crate::host::{HostNetwork, check_forever, resolvers};
use crate::host_relay::{AccessTable, GatewayPorts, HostRelay, RelayedConnections};
use crate::names::Names;
use crate::netlink::Socket;
use crate::rules::Here;
use crate::{ipv6, leftovers};

impl Network {
    /// Removes the objects of a predecessor with the same number, then prepares the network
    /// namespace of the calling thread. Blocks for some milliseconds. The predecessor's instances
    /// must have ended.
    ///
    /// Returns `None` where the settings disable the network; the predecessor's objects are removed
    /// all the same.
    pub fn open(platform: u64, config: Config, runtime: &Handle) -> Result<Option<Self>, Error> {
        config.check()?;
        let names = Names::of(platform);
        let (mut route, mut netfilter) = match clear(&names) {
            Ok(sockets) => sockets,
            Err(error) if !config.enabled => {
                // A predecessor cannot have used what the kernel lacks.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot look for leftovers of an earlier network"
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
                tracing::warn!(table = names.table, %error, "cannot remove the partially created network");
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
        let host_relay = HostRelay::bind(name_server).map_err(relaying(name_server))?;
        let mut ipv6 = ipv6::state(config.ipv6, route)?;
        let mut here = Here { address: name_server, gateway, relay: host_relay.port(), has_v6: ipv6.is_ok() };
        let parts = Parts { platform, names: &names, block, addresses: &addresses, config: &config };
        let (connections, log) = packet_rules::install(&parts, &mut here, &mut ipv6, (route, netfilter))?;
        let server = NameServer::bind(name_server).map_err(listening(name_server))?;
        let socket = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
        let netfilter = Arc::new(Mutex::new(socket));
        let inner = Arc::new(HostNetwork {
            resolving: Resolving::new(resolvers(&config).into()),
            egress: Arc::new(EgressLists::new(&names.table, netfilter.clone(), &config, here.has_v6)),
            names,
            block,
            here,
            ipv6,
            connections,
            access: Arc::new(AccessTable::default()),
            gateway: Arc::new(GatewayPorts::new(gateway)),
            relayed: Arc::new(RelayedConnections::default()),
            own_names: Arc::new(OwnNames::new(name_server, gateway)),
            addresses: Mutex::new(addresses),
            next_link: AtomicU32::new(0),
            route: Mutex::new(Socket::route().map_err(Error::kernel("open", "a netlink socket"))?),
            netfilter,
            log_group: log.as_ref().map(|log| log.group),
            config,
        });
        let network = Self::serve(inner, server, host_relay, log, runtime)?;
        if let Err(reason) = ipv6 {
            tracing::debug!(reason, "instances have no IPv6");
        }
        tracing::debug!(%block, table = network.inner.names.table, "instances have egress");
        Ok(network)
    }

    /// Starts the tasks: the name server, the relay, the log of refusals and the check.
    fn serve(
        inner: Arc<HostNetwork>,
        server: NameServer,
        host_relay: HostRelay,
        log: Option<RefusalLog>,
        runtime: &Handle,
    ) -> Result<Self, Error> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let address = inner.here.address;
        let answers = (inner.resolving.clone(), inner.egress.clone(), inner.own_names.clone());
        server.serve(inner.block, answers, &inner.config, runtime, &tasks, &stop).map_err(listening(address))?;
        let reached = (inner.access.clone(), inner.gateway.clone(), inner.relayed.clone());
        host_relay.serve(reached, &inner.config, runtime, &tasks, &stop).map_err(relaying(address))?;
        if let Some(log) = log {
            let watch =
                log.watch(inner.egress.clone(), runtime).map_err(Error::kernel("listen to", "refused packets"))?;
            tasks.spawn_on(stop.clone().run_until_cancelled_owned(watch), runtime);
        }
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(check_forever(inner.clone())), runtime);
        Ok(Self { inner, tasks, _stops: Arc::new(stop.clone().drop_guard()), stop })
    }
}

fn relaying(address: Ipv4Addr) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::HostRelay { address, source }
}

fn listening(address: Ipv4Addr) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::NameServer { address, source }
}

/// Removes everything that a predecessor left, and returns the sockets used for it.
fn clear(names: &Names) -> Result<(Socket, Socket), Error> {
    let mut route = Socket::route().map_err(Error::kernel("open", "a netlink socket"))?;
    let mut netfilter = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
    let removed = leftovers::remove(names, &mut route, &mut netfilter)?;
    if removed > 0 {
        tracing::info!(table = names.table, removed, "removed leftovers of an earlier network");
    }
    Ok((route, netfilter))
}
