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
/// Names and indexes of links in use that are passed by. A name is free again when its namespace
/// is, a million links later.
const NAMES_PASSED_MAX: u32 = 16;
/// How long a link may take until it carries packets, and how often it is looked at.
const RUNNING_WAIT: Duration = Duration::from_secs(5);
const RUNNING_PAUSE: Duration = Duration::from_micros(200);

/// A link; its address is another's when dropped, which must be after its namespace's last process
/// has ended.
pub struct Link {
    // Before the address: it keeps the namespace, and with it the link.
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
    /// Makes a link from the namespace in which the calling thread is. When it fails, the namespace
    /// is to be dropped.
    pub(crate) fn make(network: &Arc<HostNetwork>, new: &NewNetwork) -> Result<Self, Error> {
        let given = {
            let mut addresses = network.addresses.lock();
            addresses.take().ok_or(Error::AddressesExhausted { links_max: addresses.links_max() })?
        };
        let held = Held { address: given.address, network: network.clone(), restricted: AtomicBool::new(false) };
        if given.used {
            // Answers to the one before must not find the next. Of IPv6 they may: asked to forget
            // by such a source, kernels forget those of every other (seen with Linux 6.18).
            let mut netfilter = network.netfilter.lock();
            let forgotten = netfilter.send(vec![nft::forget_connections(given.address)]);
            // There being none is well.
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

    /// Ends its making: to be called once in the machine's own namespace, before anything runs in
    /// the link's.
    pub fn complete(&self) -> Result<(), Error> {
        // The kernel has no message for this one.
        if self.held.network.ipv6 == Ok(Forwards::OneLink) { ipv6::pass_on(&self.name) } else { Ok(()) }
    }

    /// Lets it reach what is on a list, of what it may reach at all, and nothing else: to be called
    /// once, before anything runs in its namespace. Its cost is one transaction with the kernel.
    pub fn restrict(&self, spec: EgressSpec) -> Result<(), Error> {
        if self.held.restricted.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.held.network.egress.add(self.held.address, spec).inspect_err(|_| {
            self.held.restricted.store(false, Ordering::Relaxed);
        })
    }

    /// Lets it reach ports of this machine, until it goes.
    pub fn let_reach(&self, access: HostAccess) {
        self.held.network.access.insert(self.held.address, access);
    }

    /// The address inside, which outside is the machine's.
    pub fn address(&self) -> Ipv4Addr {
        self.held.address
    }

    /// That of IPv6, where links have one.
    pub fn address_6(&self) -> Option<Ipv6Addr> {
        self.held.network.address_6(self.held.address)
    }

    /// What went through it so far, with the headers of Ethernet; what was refused outside counts
    /// too. Reads a file of the kernel's, which takes no lock that a start holds.
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

/// Makes both ends, and the outer one ready. Returns its index and its name.
fn outside(network: &HostNetwork, namespace: BorrowedFd<'_>, address: Ipv4Addr) -> Result<(u32, String), Error> {
    let mut route = network.route.lock();
    let mut passed = 0;
    loop {
        let number = network.next_link();
        let (name, index) = (network.names.link(number), network.names.index(number));
        let pair = route::make_pair(&name, INNER_LINK, index, network.names.group, namespace.as_raw_fd());
        // What follows the pair is sent before it is known whether there is one. Where its index is
        // another's, nothing of that link is changed: only our address leads there until the next
        // try.
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

/// Gives the inner end its addresses, and makes it the way to everywhere.
fn inside(socket: BorrowedFd<'_>, index: u32, address: Ipv4Addr, address_6: Option<Ipv6Addr>) -> io::Result<()> {
    let which = Which::Index(index);
    let address = route::add_address(index, address, None);
    let of_v6 = address_6.map(|address| {
        [route6::add_address(index, address), route6::take(address, index), route6::send_all_to_link(index)]
    });
    let ready = [route::configure(which), route::bring_up(which), address, route::send_all_to_link(index)];
    change(socket, ready.into_iter().chain(of_v6.into_iter().flatten()))
}

/// Waits until the outer end carries packets: the kernel notices a moment after the inner one is
/// up, and drops until then what is sent. Asking makes newer kernels look at once.
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
