//! The link of one namespace: making it, counting what went through it, and giving its address
//! back.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sys::namespace::NewNetwork;
use types::NetworkBytes;

use crate::egress::EgressSpec;
use crate::error::Error;
use crate::host::HostNetwork;
use crate::host_relay::HostAccess;
use crate::ipv6::{self, Forwards};
use crate::names::INNER_LINK;
use crate::netlink::change;
use crate::route::Which;
use crate::{nft, route, route6};

/// Bytes of the kernel's table of a namespace's links: a heading and a line each for loopback and
/// link, with room.
const COUNTERS_BYTES: usize = 2048;
/// Names and indexes in use that are skipped before giving up. Link numbers wrap around after a
/// million links; a name is free again once the namespace of its link is.
const NAMES_PASSED_MAX: u32 = 16;
/// How long a link may take until it carries packets, and how often it is looked at.
const RUNNING_WAIT: Duration = Duration::from_secs(5);
const RUNNING_PAUSE: Duration = Duration::from_micros(200);

/// A link. Dropping it frees its address for other links, so it must outlive the last process in
/// its namespace.
pub struct Link {
    // Dropped before the address: this file keeps the namespace alive, and with it the link.
    counters: File,
    /// Of its outer end.
    name: String,
    held: Held,
}

/// An address in use.
struct Held {
    address: Ipv4Addr,
    network: Arc<HostNetwork>,
    /// Whether it is under a list.
    restricted: AtomicBool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.restricted.load(Ordering::Relaxed) {
            self.network.egress.remove(self.address);
        }
        self.network.access.remove(self.address);
        self.network.addresses.lock().give_back(self.address);
    }
}

impl Link {
    /// Makes a link between the host and the new namespace, which is that of the calling thread. On
    /// failure the caller must drop the namespace.
    pub(crate) fn make(network: &Arc<HostNetwork>, new: &NewNetwork) -> Result<Self, Error> {
        let given = {
            let mut addresses = network.addresses.lock();
            addresses.take().ok_or(Error::AddressesExhausted { links_max: addresses.links_max() })?
        };
        let held = Held { address: given.address, network: network.clone(), restricted: AtomicBool::new(false) };
        if given.used {
            // Delete conntrack entries of the previous owner, so that replies to it do not reach
            // the new one. IPv6 entries stay: a delete filtered by an IPv6 source deletes entries
            // of all sources (seen with Linux 6.18).
            let mut netfilter = network.netfilter.lock();
            let forgotten = netfilter.send(vec![nft::forget_connections(given.address)]);
            // Having no entries is fine.
            forgotten
                .or_else(crate::forwarding::not_found)
                .map_err(Error::kernel("forget the connections of", given.address))?;
        }
        let (index, name) = outside(network, new.namespace(), given.address)?;
        let inside = inside(new.socket(), index, given.address, network.address_6(given.address));
        inside.map_err(Error::kernel("set up the inner end of link", &name))?;
        wait_running(network, index).map_err(Error::kernel("wait for the link", &name))?;
        let file = "/proc/thread-self/net/dev";
        let counters =
            File::open(file).map_err(|source| Error::Setting { operation: "open", path: file.into(), source })?;
        Ok(Self { counters, name, held })
    }

    /// Completes the link. Must be called once, in the host's namespace, before anything runs in
    /// the link's namespace.
    pub fn complete(&self) -> Result<(), Error> {
        // rtnetlink has no attribute for this setting.
        if self.held.network.ipv6 == Ok(Forwards::OneLink) { ipv6::pass_on(&self.name) } else { Ok(()) }
    }

    /// Restricts the link to the destinations on an egress list. Must be called once, before
    /// anything runs in its namespace. Costs one nf_tables transaction.
    pub fn restrict(&self, spec: EgressSpec) -> Result<(), Error> {
        if self.held.restricted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.held.network.egress.add(self.held.address, spec).inspect_err(|_| {
            self.held.restricted.store(false, Ordering::Relaxed);
        })
    }

    /// Allows access to ports of the host's loopback for the life of the link.
    pub fn let_reach(&self, access: HostAccess) {
        self.held.network.access.insert(self.held.address, access);
    }

    /// The IPv4 address inside; packets leave masqueraded as the host.
    pub fn address(&self) -> Ipv4Addr {
        self.held.address
    }

    /// The IPv6 address inside, where links have one.
    pub fn address_6(&self) -> Option<Ipv6Addr> {
        self.held.network.address_6(self.held.address)
    }

    /// Bytes sent and received so far, Ethernet headers and rejected packets included. Reads the
    /// counters from procfs, which takes no lock that instance starts hold.
    pub fn bytes(&self) -> io::Result<NetworkBytes> {
        let mut table = [0; COUNTERS_BYTES];
        let length = self.counters.read_at(&mut table, 0)?;
        Ok(counted(&String::from_utf8_lossy(&table[..length])).unwrap_or_default())
    }
}

/// Reads the line of the link (proc_net(5)): eight numbers of what was received, of which the first
/// is bytes, then eight of what was sent.
fn counted(table: &str) -> Option<NetworkBytes> {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(INNER_LINK)?.strip_prefix(':'))?;
    let mut numbers = line.split_whitespace().map(str::parse);
    let (received, sent) = (numbers.next()?.ok()?, numbers.nth(7)?.ok()?);
    Some(NetworkBytes { sent, received })
}

/// Makes both ends of the veth pair and configures the outer end. Returns its index and name.
fn outside(network: &HostNetwork, namespace: BorrowedFd<'_>, address: Ipv4Addr) -> Result<(u32, String), Error> {
    let mut route = network.route.lock();
    let mut passed = 0;
    loop {
        let number = network.next_link();
        let (name, index) = (network.names.link(number), network.names.index(number));
        let pair = route::make_pair(&name, INNER_LINK, index, network.names.group, namespace.as_raw_fd());
        // All messages are sent in one batch, before it is known whether the pair was made. If the
        // index is taken by another link, that link is not changed; only the route to our address
        // points to it until the next attempt.
        let named = Which::Name(&name);
        let ready = [route::configure(named), route::bring_up(named), route::send_to_link(address, index)];
        let to_address_6 = network.address_6(address).map(|address| route6::send_to_link(address, index));
        match route.send_as_one([pair].into_iter().chain(ready).chain(to_address_6)) {
            Ok(()) => return Ok((index, name)),
            Err(error) if is_taken(&error) && passed < NAMES_PASSED_MAX => passed += 1,
            Err(error) => return Err(Error::kernel("make the link", name)(error)),
        }
    }
}

/// Whether a link of the name or the index is there.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EEXIST | libc::EBUSY))
}

/// Configures addresses and the default route of the inner end.
fn inside(socket: BorrowedFd<'_>, index: u32, address: Ipv4Addr, address_6: Option<Ipv6Addr>) -> io::Result<()> {
    let which = Which::Index(index);
    let address = route::add_address(index, address, None);
    let of_v6 = address_6.map(|address| {
        [route6::add_address(index, address), route6::take(address, index), route6::send_all_to_link(index)]
    });
    let ready = [route::configure(which), route::bring_up(which), address, route::send_all_to_link(index)];
    change(socket, ready.into_iter().chain(of_v6.into_iter().flatten()))
}

/// Waits until the outer end has carrier: the kernel updates the state shortly after the inner end
/// is up, and drops packets until then. Newer kernels update it at once when queried.
fn wait_running(network: &HostNetwork, index: u32) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = network.route.lock().request(route::find_link(index))?;
        if route::read_link(&answer).is_some_and(|link| link.is_running) {
            return Ok(());
        }
        if begun.elapsed() > RUNNING_WAIT {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(RUNNING_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_links_line() {
        let table = "Inter-|   Receive                   |  Transmit\n \
                     face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n    \
                     lo:  10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n  \
                     eth0: 1234    5    0    0    0     0     0     0  999999999999 6 0 0 0 0 0 0\n";
        assert_eq!(counted(table), Some(NetworkBytes { sent: 999_999_999_999, received: 1234 }));
        assert_eq!(counted("lo: 1 2"), None);
        assert_eq!(counted("eth0: 1 2"), None);
    }
}
