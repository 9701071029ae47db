//! The handle: makes links, configures what they reach, and removes everything on shutdown.

mod block;
mod open;
mod packet_rules;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
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
    /// Stops the tasks when the last handle is dropped; kernel objects stay until the next start.
    _stops: Arc<DropGuard>,
}

impl Network {
    /// Makes a link between the host and a new namespace, which must be the calling thread's and
    /// have no links but the loopback. On failure the caller must drop the namespace.
    pub fn link(&self, new: &NewNetwork) -> Result<Link, Error> {
        Link::make(&self.inner, new)
    }

    /// The content of `/etc/resolv.conf` for instances with a link.
    pub fn resolv_conf(&self) -> String {
        resolv_conf::write(self.inner.here.address, &self.inner.resolving.read().search)
    }

    /// How many links the prewarm pool keeps ready: while demand is low, and at most.
    pub fn links_ready(&self) -> (usize, usize) {
        (self.inner.config.links_ready, self.inner.config.links_ready_max)
    }

    /// The block of addresses of the links.
    pub fn block(&self) -> Subnet {
        self.inner.block
    }

    /// The address of the name server of instances.
    pub fn name_server(&self) -> Ipv4Addr {
        self.inner.here.address
    }

    /// The address of the gateway, if instances may reach it.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.inner.here.gateway
    }

    /// The reason why instances have no IPv6; `None` if they have it.
    pub fn ipv6_off(&self) -> Option<&'static str> {
        self.inner.ipv6.err()
    }

    /// Sets which names resolve to the gateway's address.
    pub fn set_gateway_names(&self, names: IsOwnName) {
        self.inner.own_names.set(names);
    }

    /// Receives connections of links to these ports of the gateway's address from now on; `None`
    /// where instances may not reach it. A port belongs to the first caller that takes it.
    pub fn gateway_connections(&self, ports: &[u16]) -> Option<mpsc::Receiver<GatewayConnection>> {
        self.inner.here.gateway.map(|_| self.inner.gateway.take(ports))
    }

    /// The address of the link that reaches the server on `port` of the loopback as this client, by
    /// the relay.
    pub fn link_behind(&self, client: SocketAddr, port: u16) -> Option<Ipv4Addr> {
        self.inner.relayed.link_behind(client, port)
    }

    /// Stops the tasks and removes the kernel objects, except those that other platforms may need.
    /// All instances with a link must have ended.
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
            // The runtime is shutting down: the next start removes the objects.
            Err(_) => Ok(()),
        }
    }
}
