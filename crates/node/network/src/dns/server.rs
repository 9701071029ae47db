//! Listening for questions and passing them on, each in a task of its own, not more at once than the limits say.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message;
use crate::config::Config;
use crate::resolv_conf::Resolvers;
use crate::rules::DNS_PORT;
use crate::subnet::Subnet;

/// Longest question or answer by UDP: what resolvers offer to take at most (RFC 6891, section 6.2.5).
const DATAGRAM_BYTES_MAX: usize = 4096;
/// Pause after nothing could be taken from the kernel, such as for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Where questions are passed to; it changes when the machine's settings do.
pub type Resolving = Arc<RwLock<Resolvers>>;

/// The sockets, before they are listened to.
pub struct NameServer {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// What every task uses.
struct Shared {
    clients: Subnet,
    resolving: Resolving,
    under_way: Mutex<UnderWay>,
    queries_max: usize,
    queries_per_instance_max: usize,
    answer_max: Duration,
    connection_max: Duration,
    stop: CancellationToken,
}

/// Questions under way.
#[derive(Default)]
struct UnderWay {
    all: usize,
    by_client: HashMap<Ipv4Addr, usize>,
}

impl NameServer {
    /// Takes the port on an address of this machine.
    pub fn bind(address: Ipv4Addr) -> io::Result<Self> {
        let (udp, tcp) = (UdpSocket::bind((address, DNS_PORT))?, TcpListener::bind((address, DNS_PORT))?);
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { udp, tcp })
    }

    /// Answers those in `clients` until `stop`.
    pub fn serve(
        self,
        clients: Subnet,
        resolving: Resolving,
        config: &Config,
        runtime: &Handle,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let _on_runtime = runtime.enter();
        let udp = Arc::new(tokio::net::UdpSocket::from_std(self.udp)?);
        let tcp = tokio::net::TcpListener::from_std(self.tcp)?;
        let shared = Arc::new(Shared {
            clients,
            resolving,
            under_way: Mutex::default(),
            queries_max: config.dns_queries_max,
            queries_per_instance_max: config.dns_queries_per_instance_max,
            answer_max: Duration::from_millis(config.dns_answer_ms_max),
            connection_max: Duration::from_millis(config.dns_connection_ms_max),
            stop: stop.clone(),
        });
        let (datagrams, connections) =
            (shared.clone().datagrams(udp, tasks.clone()), shared.connections(tcp, tasks.clone()));
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(datagrams), runtime);
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(connections), runtime);
        Ok(())
    }
}

impl Shared {
    async fn datagrams(self: Arc<Self>, udp: Arc<tokio::net::UdpSocket>, tasks: TaskTracker) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let Ok((length, client)) = udp.recv_from(&mut buffer).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let question = buffer[..length].to_vec();
            let Some(place) = self.admit(client.ip()).filter(|_| message::is_question(&question)) else { continue };
            let (shared, udp) = (self.clone(), udp.clone());
            tasks.spawn(async move {
                let asked = shared.stop.run_until_cancelled(shared.ask(&question)).await.flatten();
                // Who asked may be gone.
                udp.send_to(&asked.unwrap_or_else(|| message::failure(&question)), client).await.ok();
                drop(place);
            });
        }
    }

    async fn connections(self: Arc<Self>, tcp: tokio::net::TcpListener, tasks: TaskTracker) {
        loop {
            let Ok((client, address)) = tcp.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(place) = self.admit(address.ip()) else { continue };
            let shared = self.clone();
            tasks.spawn(async move {
                let relayed = timeout(shared.connection_max, shared.relay(client));
                // Too slow, or cut off: whoever asked sees the connection end.
                shared.stop.run_until_cancelled(relayed).await;
                drop(place);
            });
        }
    }

    /// A place for a question of a client, unless it is none of ours or there are too many.
    fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let IpAddr::V4(client) = client else { return None };
        let mut under_way = self.under_way.lock();
        if !self.clients.contains(client) || under_way.all >= self.queries_max {
            return None;
        }
        let own = under_way.by_client.entry(client).or_default();
        if *own >= self.queries_per_instance_max {
            return None;
        }
        *own += 1;
        under_way.all += 1;
        Some(Place { shared: self.clone(), client })
    }

    fn servers(&self) -> Vec<IpAddr> {
        self.resolving.read().servers.clone()
    }

    /// The answer of the first server that gives one.
    async fn ask(&self, question: &[u8]) -> Option<Vec<u8>> {
        for server in self.servers() {
            if let Ok(Ok(answer)) = timeout(self.answer_max, ask_server(server, question)).await {
                return Some(answer);
            }
        }
        None
    }

    /// Connects a client with the first server that takes the connection.
    async fn relay(&self, mut client: tokio::net::TcpStream) -> io::Result<()> {
        for server in self.servers() {
            let connecting = tokio::net::TcpStream::connect((server, DNS_PORT));
            if let Ok(Ok(mut server)) = timeout(self.answer_max, connecting).await {
                tokio::io::copy_bidirectional(&mut client, &mut server).await?;
                return Ok(());
            }
        }
        Ok(())
    }
}

async fn ask_server(server: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    // A socket for each question has a port that is hard to guess, and hears of its server only.
    let any: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    socket.connect((server, DNS_PORT)).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if !message::answers(&buffer[..length], question) {
            continue;
        }
        if length > DATAGRAM_BYTES_MAX {
            return Ok(message::too_long(question));
        }
        buffer.truncate(length);
        return Ok(buffer);
    }
}

/// A question under way; its place is free again when dropped.
struct Place {
    shared: Arc<Shared>,
    client: Ipv4Addr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.shared.under_way.lock();
        under_way.all -= 1;
        if let Some(own) = under_way.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                under_way.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(queries_max: usize, queries_per_instance_max: usize) -> Arc<Shared> {
        Arc::new(Shared {
            clients: Subnet::of(Ipv4Addr::new(10, 222, 0, 0), 20),
            resolving: Resolving::default(),
            under_way: Mutex::default(),
            queries_max,
            queries_per_instance_max,
            answer_max: Duration::from_secs(1),
            connection_max: Duration::from_secs(1),
            stop: CancellationToken::new(),
        })
    }

    #[test]
    fn one_instance_cannot_take_all_places() {
        let shared = shared(3, 2);
        let client = |last| IpAddr::from([10, 222, 0, last]);
        let places = [shared.admit(client(2)), shared.admit(client(2))];
        assert!(places.iter().all(Option::is_some) && shared.admit(client(2)).is_none());
        let other = shared.admit(client(3));
        assert!(other.is_some() && shared.admit(client(4)).is_none(), "three are under way");
        drop(places);
        assert!(shared.admit(client(2)).is_some());
        drop(other);
        let under_way = shared.under_way.lock();
        assert_eq!((under_way.all, under_way.by_client.len()), (0, 0));
    }

    #[test]
    fn strangers_are_not_answered() {
        let shared = shared(3, 2);
        assert!(shared.admit([192, 0, 2, 1].into()).is_none());
        assert!(shared.admit([10, 222, 16, 1].into()).is_none());
        assert!(shared.admit("::ffff:10.222.0.2".parse().expect("an address")).is_none());
    }

    #[tokio::test]
    async fn a_question_that_nobody_can_be_asked_is_answered_so() {
        let shared = shared(3, 2);
        assert!(shared.ask(b"\0\0\0\0\0\0\0\0\0\0\0\0?").await.is_none());
    }
}
