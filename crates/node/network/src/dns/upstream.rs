//! Forwards queries to the host's name servers, by the protocol that they came by.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message;
use crate::resolv_conf::Resolvers;
use crate::rules::DNS_PORT;

/// Longest answer by UDP: what resolvers offer to take at most (RFC 6891, section 6.2.5).
const DATAGRAM_BYTES_MAX: usize = 4096;

/// The resolvers; they change when the host's configuration does.
pub type Resolving = Arc<RwLock<Resolvers>>;

/// The protocol of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection, with the length before each message (RFC 1035, section 4.2.2).
    Tcp,
}

/// The servers, and how long each may take.
pub struct Upstream {
    /// The servers.
    pub resolving: Resolving,
    /// Longest wait for one.
    pub answer_max: Duration,
}

impl Upstream {
    /// The response of the first server that answers.
    pub async fn query(&self, transport: Transport, question: &[u8]) -> Option<Vec<u8>> {
        let servers: Vec<IpAddr> = self.resolving.read().servers.clone();
        for server in servers {
            let asked = async {
                match transport {
                    Transport::Udp => ask_by_udp(server, question).await,
                    Transport::Tcp => ask_by_tcp(server, question).await,
                }
            };
            if let Ok(Ok(answer)) = timeout(self.answer_max, asked).await {
                return Some(answer);
            }
        }
        None
    }
}

async fn ask_by_udp(server: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    // A socket per query has an unpredictable port; connecting it filters responses of other hosts.
    let any: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
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

async fn ask_by_tcp(server: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((server, DNS_PORT)).await?;
    write_frame(&mut stream, question).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if message::answers(&answer, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Writes a message with its length before it, in one piece.
pub async fn write_frame(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}
