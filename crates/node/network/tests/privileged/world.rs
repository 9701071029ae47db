//! A machine and what is outside it, as network namespaces: nothing of the real machine is touched.

use std::future::Future;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use network::{Config, Link, Network};
use tokio::runtime::Runtime;

/// Longest wait for something that is to happen.
pub const WAIT: Duration = Duration::from_secs(10);
/// How long it is waited for what is not to happen.
pub const SILENCE: Duration = Duration::from_millis(300);
/// The machine's address, its neighbour outside, one further away, and the metadata address, which
/// is outside too.
pub const MACHINE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Where servers listen.
pub const PORT: u16 = 7000;

/// A machine with one link to the outside.
pub struct World {
    pub runtime: Runtime,
    pub machine: OwnedFd,
    pub outside: OwnedFd,
}

impl World {
    /// Runs a test inside the machine.
    pub fn run(test: impl FnOnce(&World) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let real = sys::namespace::current_network()?;
        let machine = sys::namespace::new_network(real.as_fd(), || Ok(()))?;
        let mut outcome = Ok(());
        sys::namespace::in_network(machine.as_fd(), real.as_fd(), || {
            // Threads that are started in here stay in the machine's namespace.
            outcome = Self::build(machine.try_clone()?).and_then(|world| test(&world));
            Ok(())
        })?;
        outcome
    }

    fn build(machine: OwnedFd) -> anyhow::Result<Self> {
        let outside = sys::namespace::new_network(machine.as_fd(), || Ok(()))?;
        let there = format!("/proc/{}/fd/{}", std::process::id(), outside.as_raw_fd());
        ip(&format!("link add up0 type veth peer name out0 netns {there}"))?;
        ip("address add 198.51.100.1/24 dev up0")?;
        ip("link set up0 up")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let world = Self { runtime, machine, outside };
        world.outside(|| {
            ip("address add 198.51.100.2/24 dev out0")?;
            ip("address add 203.0.113.5/32 dev lo")?;
            ip("address add 169.254.169.254/32 dev lo")?;
            ip("link set out0 up")?;
            // Others outside know where the instances would be.
            ip("route add 10.222.0.0/16 via 198.51.100.1")
        })?;
        ip("route add default via 198.51.100.2")?;
        Ok(world)
    }

    /// A platform.
    pub fn platform(&self, number: u64) -> anyhow::Result<Network> {
        self.platform_with(number, Config::default())
    }

    pub fn platform_with(&self, number: u64, config: Config) -> anyhow::Result<Network> {
        Network::open(number, config, self.runtime.handle())?.context("it is switched on")
    }

    /// Runs something outside.
    pub fn outside<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        inside(&self.outside, &self.machine, work)
    }

    /// An instance without a process.
    pub fn instance(&self, network: &Network) -> anyhow::Result<Instance> {
        let mut link = None;
        let namespace = sys::namespace::make_network(self.machine.as_fd(), |new| {
            link = Some(network.link(new));
            Ok(())
        })?;
        let link = link.context("it was asked for")??;
        link.complete()?;
        Ok(Instance { link, namespace, machine: self.machine.try_clone()? })
    }

    /// Answers every connection to a port with the address it came from, in the namespace of the
    /// calling thread.
    pub fn serve(&self, address: Ipv4Addr, port: u16) -> anyhow::Result<()> {
        let (tcp, udp) = (TcpListener::bind((address, port))?, UdpSocket::bind((address, port))?);
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let _on_runtime = self.runtime.enter();
        let (tcp, udp) = (tokio::net::TcpListener::from_std(tcp)?, tokio::net::UdpSocket::from_std(udp)?);
        self.runtime.spawn(async move {
            while let Ok((mut stream, peer)) = tcp.accept().await {
                tokio::io::AsyncWriteExt::write_all(&mut stream, peer.ip().to_string().as_bytes()).await.ok();
            }
        });
        self.runtime.spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((_, peer)) = udp.recv_from(&mut buffer).await {
                udp.send_to(peer.ip().to_string().as_bytes(), peer).await.ok();
            }
        });
        Ok(())
    }

    /// Sends back what comes by every connection to a port, in the namespace of the calling thread.
    pub fn serve_echo(&self, port: u16) -> anyhow::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        listener.set_nonblocking(true)?;
        let _on_runtime = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        self.runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        Ok(())
    }

    /// Waits for a future of the platform.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// A namespace with a link.
pub struct Instance {
    pub link: Link,
    pub namespace: OwnedFd,
    machine: OwnedFd,
}

impl Instance {
    /// Runs something inside.
    pub fn inside<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        inside(&self.namespace, &self.machine, work)
    }

    /// What a server says by TCP.
    pub fn tcp(&self, address: Ipv4Addr, port: u16) -> io::Result<String> {
        sys::namespace::in_network(self.namespace.as_fd(), self.machine.as_fd(), || tcp(address, port))
    }

    /// What a server says by UDP.
    pub fn udp(&self, address: Ipv4Addr, port: u16) -> io::Result<String> {
        sys::namespace::in_network(self.namespace.as_fd(), self.machine.as_fd(), || {
            udp(Ipv4Addr::UNSPECIFIED, (address, port).into(), b"?").map(|answer| text(&answer))
        })
    }
}

/// What a server says by TCP, asked from the namespace of the calling thread.
pub fn tcp(address: Ipv4Addr, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(address, port).into(), SILENCE * 3)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The answer to a datagram from an address of the calling thread's namespace.
pub fn udp(from: Ipv4Addr, to: SocketAddr, what: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(SocketAddrV4::new(from, 0))?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.connect(to)?;
    socket.send(what)?;
    let mut answer = vec![0; 2048];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs something in a namespace, and returns to the machine's.
pub fn inside<T>(namespace: &OwnedFd, home: &OwnedFd, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut outcome = None;
    sys::namespace::in_network(namespace.as_fd(), home.as_fd(), || {
        outcome = Some(work());
        Ok(())
    })?;
    outcome.context("it ran")?
}

/// Runs `ip` in the namespace of the calling thread, and returns what it says.
pub fn ip_says(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("ip (iproute2) is needed")?;
    ensure!(output.status.success(), "ip {arguments}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

pub fn ip(arguments: &str) -> anyhow::Result<()> {
    ip_says(arguments).map(drop)
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < WAIT, "{what}: not within {WAIT:?}");
        std::thread::yield_now();
    }
    Ok(())
}
