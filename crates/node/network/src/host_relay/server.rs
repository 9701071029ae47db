//! Accepts connections of links within the limits, and serves each in its own task.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::PortRange;

use super::access::{AccessTable, Member, Refusal};
use super::copy::both_ways;
use super::gateway::GatewayPorts;
use super::relayed::RelayedConnections;
use crate::config::Config;
use crate::dns::{Place, Places};

/// Pause after a failed accept, for example for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening socket, before it is served: it has a port already.
pub struct HostRelay {
    listener: TcpListener,
    port: u16,
}

/// State shared by all tasks.
struct Relay {
    table: Arc<AccessTable>,
    gateway: Arc<GatewayPorts>,
    relayed: Arc<RelayedConnections>,
    to_gateway: Arc<Places>,
    allowed: Vec<PortRange>,
    connections: Arc<Places>,
    connect_max: Duration,
    idle_max: Duration,
}

impl HostRelay {
    /// Takes a free port on an address of this machine.
    pub fn bind(address: Ipv4Addr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port to which packet rules redirect connections.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves links until `stop`.
    pub fn serve(
        self,
        (table, gateway, relayed): (Arc<AccessTable>, Arc<GatewayPorts>, Arc<RelayedConnections>),
        config: &Config,
        runtime: &Handle,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let _on_runtime = runtime.enter();
        let listener = Arc::new(tokio::net::TcpListener::from_std(self.listener)?);
        let relay = Arc::new(Relay {
            table,
            gateway,
            relayed,
            // The gateway has limits of its own; this one bounds the share of an instance.
            to_gateway: Places::new(usize::MAX, config.gateway_connections_per_instance_max, stop),
            allowed: config.host_ports.clone(),
            connections: Places::new(config.host_connections_max, config.host_connections_per_instance_max, stop),
            connect_max: Duration::from_millis(config.host_connect_ms_max),
            idle_max: Duration::from_secs(config.host_idle_s_max),
        });
        let spawner = tasks.clone();
        let accepting =
            supervisor::restarting("host relay", move || relay.clone().accept(listener.clone(), spawner.clone()));
        tasks.spawn_on(stop.clone().run_until_cancelled_owned(accepting), runtime);
        Ok(())
    }
}

impl Relay {
    async fn accept(self: Arc<Self>, listener: Arc<tokio::net::TcpListener>, tasks: TaskTracker) {
        loop {
            let Ok((client, from)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Some((address, member, to)) = self.identify(&client, from) else {
                reset(client);
                continue;
            };
            let port = to.port();
            if self.gateway.is_at(*to.ip()) {
                if let Err((client, why)) = self.hand_over(client, address, from, &member, port) {
                    reset(client);
                    member.refuse(port, why);
                }
                continue;
            }
            match self.admit(address, &member, port) {
                Ok(place) => drop(tasks.spawn(self.clone().connect(client, (address, member), port, place))),
                Err(why) => {
                    reset(client);
                    member.refuse(port, why);
                }
            }
        }
    }

    /// Hands a connection over to the gateway.
    fn hand_over(
        &self,
        client: TcpStream,
        address: Ipv4Addr,
        from: SocketAddr,
        member: &Member,
        port: u16,
    ) -> Result<(), (TcpStream, Refusal)> {
        if let Err(why) = member.check_gateway(port) {
            return Err((client, why));
        }
        let Some(place) = self.to_gateway.take(address) else { return Err((client, Refusal::TooManyToGateway)) };
        self.gateway.send(port, (client, from, Box::new(place)))
    }

    /// The link of a connection, and the original destination address and port.
    fn identify(&self, client: &TcpStream, from: SocketAddr) -> Option<(Ipv4Addr, Arc<Member>, SocketAddrV4)> {
        let IpAddr::V4(address) = from.ip() else { return None };
        let to = sockopt::ip_original_dst(client).ok()?;
        Some((address, self.table.get(address)?, to))
    }

    fn admit(&self, address: Ipv4Addr, member: &Member, port: u16) -> Result<Place, Refusal> {
        member.check(port, &self.allowed)?;
        self.connections.take(address).ok_or(Refusal::TooMany)
    }

    /// Connects to the port on the loopback and relays until either side closes, the link is
    /// removed or the slot is revoked. Connections that were cut off are reset, so that no client
    /// keeps waiting.
    async fn connect(
        self: Arc<Self>,
        mut client: TcpStream,
        (address, member): (Ipv4Addr, Arc<Member>),
        port: u16,
        place: Place,
    ) {
        let ended = member.gone.clone();
        let carried = async {
            match self.server(port).await {
                Ok(mut server) => {
                    let relay = server.local_addr()?;
                    let _known = self.relayed.enter(relay, port, address);
                    let carried = both_ways(&mut client, &mut server, self.idle_max).await;
                    if carried.is_err() {
                        linger_not(&server);
                    }
                    carried
                }
                Err(error) => {
                    member.refuse(port, Refusal::NoServer);
                    Err(error)
                }
            }
        };
        let carried = ended.run_until_cancelled(place.revoked.run_until_cancelled(carried)).await.flatten();
        if !matches!(carried, Some(Ok(()))) {
            reset(client);
        }
    }

    /// The server on a port of the loopback, by IPv4 and then by IPv6.
    async fn server(&self, port: u16) -> io::Result<TcpStream> {
        let connect = |address: IpAddr| async move {
            let connected = timeout(self.connect_max, TcpStream::connect((address, port))).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        let server = match connect(Ipv4Addr::LOCALHOST.into()).await {
            // A server may listen on one of them only; if both fail, the first error is returned.
            Err(error) => connect(Ipv6Addr::LOCALHOST.into()).await.map_err(|_| error),
            connected => connected,
        }?;
        // Disable Nagle's algorithm: the relay must not delay what either side sends.
        server.set_nodelay(true)?;
        Ok(server)
    }
}

/// Ends a connection by a reset.
fn reset(socket: TcpStream) {
    linger_not(&socket);
}

/// Has the kernel reset a connection when it is closed. Where it cannot, it is closed all the same.
fn linger_not(socket: &TcpStream) {
    sockopt::set_socket_linger(socket, Some(Duration::ZERO)).ok();
}
