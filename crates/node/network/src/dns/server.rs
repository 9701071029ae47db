//! Receives queries by UDP and TCP, and forwards them within the limits, each in its own task.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer;
use super::message::{self, Code, Handling, QUESTION_BYTES_MAX};
use super::own_names::OwnNames;
use super::places::Places;
use super::upstream::{Resolving, Transport, Upstream, write_frame};
use crate::config::Config;
use crate::egress::{EgressLists, Member, Refused};
use crate::rules::DNS_PORT;
use crate::subnet::Subnet;

/// Pause after a failed receive or accept, for example for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The sockets, before they are listened to.
pub struct NameServer {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// State shared by all tasks.
struct Relay {
    clients: Subnet,
    upstream: Upstream,
    /// UDP queries in flight.
    questions: Arc<Places>,
    /// Connections, each with one question at a time.
    connections: Arc<Places>,
    connection_max: Duration,
    egress: Arc<EgressLists>,
    own_names: Arc<OwnNames>,
}

/// How a query of a client is handled.
enum Question {
    /// The client is not restricted: forward it.
    Free,
    /// The name is on the client's list: forward it and allow the addresses of the response.
    Listed(Arc<Member>, String),
    /// The list has address ranges but not the name: forward it without allowing addresses.
    Unlisted,
    /// The client may not resolve the name.
    Refused,
}

impl NameServer {
    /// Binds port 53 of an address of the host.
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
        parts: (Resolving, Arc<EgressLists>, Arc<OwnNames>),
        config: &Config,
        runtime: &Handle,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let _on_runtime = runtime.enter();
        let udp = Arc::new(tokio::net::UdpSocket::from_std(self.udp)?);
        let tcp = Arc::new(tokio::net::TcpListener::from_std(self.tcp)?);
        let relay = Arc::new(Relay::new(clients, parts, config, stop));
        let (datagrams, spawner) = (relay.clone(), tasks.clone());
        let datagrams = supervisor::restarting("name relay, datagrams", move || {
            datagrams.clone().serve_datagrams(udp.clone(), spawner.clone())
        });
        let spawner = tasks.clone();
        let connections = supervisor::restarting("name relay, connections", move || {
            relay.clone().serve_connections(tcp.clone(), spawner.clone())
        });
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(datagrams), runtime);
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(connections), runtime);
        Ok(())
    }
}

impl Relay {
    fn new(
        clients: Subnet,
        (resolving, egress, own_names): (Resolving, Arc<EgressLists>, Arc<OwnNames>),
        config: &Config,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            egress,
            own_names,
            clients,
            upstream: Upstream { resolving, answer_max: Duration::from_millis(config.dns_answer_ms_max) },
            questions: Places::new(config.dns_queries_max, config.dns_queries_per_instance_max, stop),
            connections: Places::new(config.dns_connections_max, config.dns_connections_per_instance_max, stop),
            connection_max: Duration::from_millis(config.dns_connection_ms_max),
        }
    }

    async fn serve_datagrams(self: Arc<Self>, udp: Arc<tokio::net::UdpSocket>, tasks: TaskTracker) {
        // One byte more than the longest query, to recognise longer ones.
        let mut buffer = [0; QUESTION_BYTES_MAX + 1];
        loop {
            let Ok((length, client)) = udp.recv_from(&mut buffer).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (message, Some(address)) = (&buffer[..length], self.client(client.ip())) else { continue };
            match message::check(message) {
                Handling::Ignore => continue,
                Handling::Refuse(code) => {
                    // If the send buffer is full, the response is lost like any datagram.
                    udp.try_send_to(&message::refusal(message, code), client).ok();
                    continue;
                }
                Handling::Forward => {}
            }
            // Over its share a query is dropped, as by a congested network; the client retries
            // later.
            let Some(place) = self.questions.take(address) else { continue };
            let (relay, udp, question) = (self.clone(), udp.clone(), message.to_vec());
            tasks.spawn(async move {
                let asked = place.revoked.run_until_cancelled(relay.answer(Transport::Udp, address, &question)).await;
                let answer = asked.flatten().unwrap_or_else(|| message::refusal(&question, Code::ServerFailure));
                // The client may be gone.
                udp.send_to(&answer, client).await.ok();
            });
        }
    }

    async fn serve_connections(self: Arc<Self>, tcp: Arc<tokio::net::TcpListener>, tasks: TaskTracker) {
        loop {
            let Ok((client, address)) = tcp.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some(address) = self.client(address.ip()) else { continue };
            let Some(place) = self.connections.take(address) else { continue };
            let relay = self.clone();
            tasks.spawn(async move {
                let served = timeout(relay.connection_max, relay.serve_connection(client, address));
                // Timed out, cut off, or not a DNS message: the client sees the connection close.
                place.revoked.run_until_cancelled(served).await;
            });
        }
    }

    /// Answers the questions of a connection, one after the other.
    async fn serve_connection(&self, mut client: TcpStream, address: Ipv4Addr) -> io::Result<()> {
        loop {
            let length = usize::from(client.read_u16().await?);
            if length > QUESTION_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut message = vec![0; length];
            client.read_exact(&mut message).await?;
            let answer = match message::check(&message) {
                Handling::Ignore => return Err(io::ErrorKind::InvalidData.into()),
                Handling::Refuse(code) => message::refusal(&message, code),
                Handling::Forward => {
                    let asked = self.answer(Transport::Tcp, address, &message).await;
                    asked.unwrap_or_else(|| message::refusal(&message, Code::ServerFailure))
                }
            };
            write_frame(&mut client, &answer).await?;
        }
    }

    /// The response to a client's query; `None` when no server answered. Addresses that it allows
    /// for the client are allowed when this returns.
    async fn answer(&self, transport: Transport, client: Ipv4Addr, question: &[u8]) -> Option<Vec<u8>> {
        if let Some(answer) = self.own_names.answer(question) {
            return Some(answer);
        }
        let (member, name) = match self.question(client, question) {
            Question::Refused => return Some(message::no_such_name(question)),
            Question::Free | Question::Unlisted => return self.upstream.query(transport, question).await,
            Question::Listed(member, name) => (member, name),
        };
        let answer = self.upstream.query(transport, question).await?;
        let addresses = answer::addresses(&answer, question);
        if addresses.is_empty() {
            return Some(answer);
        }
        let egress = self.egress.clone();
        let opened = tokio::task::spawn_blocking(move || egress.learn(&member, &name, &addresses)).await.ok()?;
        if let Err(error) = opened {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot allow egress to the addresses of a name");
            return None;
        }
        Some(answer)
    }

    fn question(&self, client: Ipv4Addr, question: &[u8]) -> Question {
        let Some(member) = self.egress.member(client) else { return Question::Free };
        match answer::asked_name(question) {
            Some(name) if member.list.has_name(&name) => Question::Listed(member, name),
            _ if member.list.has_ranges() => Question::Unlisted,
            name => {
                name.into_iter().for_each(|name| member.report(Refused::Name(name)));
                Question::Refused
            }
        }
    }

    /// The address of a client, if it is one of ours.
    fn client(&self, address: IpAddr) -> Option<Ipv4Addr> {
        match address {
            IpAddr::V4(address) => Some(address).filter(|address| self.clients.contains(*address)),
            IpAddr::V6(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> Relay {
        let clients = Subnet::of(Ipv4Addr::new(10, 222, 0, 0), 20);
        let (config, netfilter) = (Config::default(), crate::netlink::Socket::netfilter().expect("a socket"));
        let netfilter = Arc::new(parking_lot::Mutex::new(netfilter));
        let egress = Arc::new(EgressLists::new("none", netfilter, &config, false));
        let own_names = Arc::new(OwnNames::new(Ipv4Addr::new(10, 222, 0, 1), None));
        Relay::new(clients, (Resolving::default(), egress, own_names), &config, &CancellationToken::new())
    }

    #[test]
    fn strangers_are_not_answered() {
        let relay = relay();
        assert!(relay.client([10, 222, 0, 2].into()).is_some());
        assert!(relay.client([192, 0, 2, 1].into()).is_none());
        assert!(relay.client([10, 222, 16, 1].into()).is_none());
        assert!(relay.client("::ffff:10.222.0.2".parse().expect("an address")).is_none());
    }

    #[tokio::test]
    async fn a_question_that_nobody_can_be_asked_is_answered_so() {
        assert!(relay().upstream.query(Transport::Udp, b"\0\0\0\0\0\0\0\0\0\0\0\0?").await.is_none());
    }
}
