//! The state of a platform's network on this host: netlink sockets, addresses of links, and the
//! periodic check that restores what other programs changed.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::addresses::Addresses;
use crate::config::Config;
use crate::connections::Limits;
use crate::dns::{OwnNames, Resolving};
use crate::egress::EgressLists;
use crate::error::Error;
use crate::host_relay::{AccessTable, GatewayPorts, RelayedConnections};
use crate::ipv6;
use crate::names::Names;
use crate::netlink::Socket;
use crate::resolv_conf::{self, Resolvers};
use crate::rules::Here;
use crate::subnet::Subnet;
use crate::{forwarding, nft, rules};

/// The resolver configuration of the host.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Shared by the handle, every link and the periodic check.
pub struct HostNetwork {
    /// Settings.
    pub config: Config,
    /// Names of what is ours.
    pub names: Names,
    /// The addresses of the links.
    pub block: Subnet,
    /// What links reach on this host: the name server, forwarded ports and the gateway.
    pub here: Here,
    /// How links have IPv6, or why they do not.
    pub ipv6: ipv6::State,
    /// Connections that the rules let through.
    pub connections: Limits,
    /// The name servers of the machine, which the relay asks.
    pub resolving: Resolving,
    /// What links may reach of this machine.
    pub access: Arc<AccessTable>,
    /// Where their connections to the gateway go.
    pub gateway: Arc<GatewayPorts>,
    /// Their connections to servers of this machine.
    pub relayed: Arc<RelayedConnections>,
    /// Names that lead to the gateway.
    pub own_names: Arc<OwnNames>,
    /// Addresses of links.
    pub addresses: Mutex<Addresses>,
    /// Number of the next link.
    pub next_link: AtomicU32,
    /// To the machine's own links and routes; one change at a time, as in the kernel.
    pub route: Mutex<Socket>,
    /// To its packet rules and connections.
    pub netfilter: Arc<Mutex<Socket>>,
    /// What functions with a list may reach.
    pub egress: Arc<EgressLists>,
    /// Where the kernel reports what is refused to them.
    pub log_group: Option<u16>,
}

impl HostNetwork {
    /// The next link number; numbers repeat only after they have wrapped around.
    pub fn next_link(&self) -> u32 {
        self.next_link.fetch_add(1, Ordering::Relaxed)
    }

    /// The IPv6 address of the link with an address, where links have one.
    pub fn address_6(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        self.ipv6.is_ok().then(|| self.config.range6.with(address))
    }

    /// Restores what other programs changed: forwarding of links, and packet rules that were
    /// flushed. Also reads the name servers of the host again.
    pub fn check(&self) -> Result<(), Error> {
        *self.resolving.write() = resolvers(&self.config);
        {
            let (mut route, mut netfilter) = (self.route.lock(), self.netfilter.lock());
            report_forwarding(&forwarding::ensure(&mut route, &mut netfilter)?, rules::GUARD_TABLE);
            if self.ipv6.is_ok() {
                report_forwarding(&ipv6::ensure(&mut route, &mut netfilter)?, rules::GUARD_TABLE_6);
            }
        }
        let table = &self.names.table;
        let found = self.netfilter.lock().send(vec![nft::find_table(table)]);
        match found {
            Ok(()) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                tracing::warn!(table, "the packet rules were removed by another program; they are installed again");
                let Self { names, block, here, config, connections, log_group, .. } = self;
                let rules = rules::install(names, *block, *here, config, *connections, *log_group);
                self.egress.reinstall(rules).map_err(Error::kernel("install the packet rules", table))
            }
            Err(error) => Err(Error::kernel("find the packet rules", table)(error)),
        }
    }
}

/// Runs the check periodically. Consecutive failures are logged once.
pub async fn check_forever(host: Arc<HostNetwork>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(host.config.check_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let checked = host.clone();
        let Ok(outcome) = tokio::task::spawn_blocking(move || checked.check()).await else { return };
        if let Err(error) = &outcome
            && !failing
        {
            tracing::error!(error = error as &dyn std::error::Error, "cannot check the network of instances");
        }
        failing = outcome.is_err();
    }
}

/// Logs for which links forwarding was switched on.
pub fn report_forwarding(switched_on: &[String], guard: &str) {
    if !switched_on.is_empty() {
        let links = switched_on;
        tracing::info!(?links, guard, "enabled forwarding of packets that arrive by these links");
    }
}

/// The name servers of the machine, or those of the settings.
pub fn resolvers(config: &Config) -> Resolvers {
    // Without the file, the C library's default is a name server on the host itself.
    let mut found = resolv_conf::read(&fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    if !config.dns.is_empty() {
        found.servers.clone_from(&config.dns);
    }
    found
}
