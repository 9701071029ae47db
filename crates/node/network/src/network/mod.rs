//! The handle: links for namespaces, what they reach, and the end of all of it.

mod block;
mod open;
mod packet_rules;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::Arc;

use sys::namespace::NewNetwork;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::dns::IsOwnName;
use crate::error::Error;
use crate::host::HostNetwork;
use crate::host_relay::GatewayConnection;
use crate::leftovers;
use crate::link::Link;
use crate::resolv_conf;
use crate::subnet::Subnet;

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
