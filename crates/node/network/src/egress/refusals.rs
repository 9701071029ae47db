//! Receives rejected packets from the kernel: a rule logs them as netlink messages
//! (linux/netfilter/nfnetlink_log.h).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::EgressLists;
use super::members::Refused;
use crate::netlink::{Attributes, Message, Socket, answers, attributes};

/// Type of messages that configure a group, and of those with packets.
const CONFIGURE: u16 = (libc::NFNL_SUBSYS_ULOG as u16) << 8 | 1;
const PACKET: u16 = (libc::NFNL_SUBSYS_ULOG as u16) << 8;
/// Attributes of a configuration: a command, how much of packets to send, how many to wait for.
const COMMAND: u16 = 1;
const MODE: u16 = 2;
const WAIT_FOR: u16 = 5;
/// The command to bind to a group; the mode that copies packets.
const BIND: u8 = 1;
const WITH_PACKET: u8 = 2;
/// Attribute with the packet, from its network header on.
const PAYLOAD: u16 = 9;
/// Bytes of a packet that are sent.
const PACKET_BYTES: u32 = 64;
/// Bytes of the header of IPv6, without extensions.
const IPV6_HEADER_BYTES: usize = 40;
/// Groups that are tried: each has one listener, and another program may have taken it.
const GROUPS_TRIED: u16 = 16;
/// Bytes of the nfgenmsg before attributes.
const FIXED_BYTES: usize = 4;
/// Pause after a failed receive.
const PAUSE: Duration = Duration::from_millis(100);

/// The listener of a group.
pub struct RefusalLog {
    socket: Socket,
    /// The group.
    pub group: u16,
}

impl RefusalLog {
    /// Binds to a free group in the network namespace of the calling thread. The first group that
    /// is tried depends on the platform.
    pub fn open(platform: u64) -> io::Result<Self> {
        let mut socket = Socket::netfilter()?;
        let mut outcome = Err(io::ErrorKind::AddrInUse.into());
        for number in 0..GROUPS_TRIED {
            // Programs that log packets use low groups.
            let group = (platform as u16).wrapping_add(number) | 0x4000;
            match socket.send(bind(group)) {
                Ok(()) => return Ok(Self { socket, group }),
                Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EPERM)) => {
                    outcome = Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        outcome
    }

    /// Reports rejected packets of restricted instances until dropped.
    pub fn watch(self, lists: Arc<EgressLists>, runtime: &Handle) -> io::Result<impl Future<Output = ()> + use<>> {
        let _on_runtime = runtime.enter();
        let fd = sys::event::readable(self.socket.into_fd()?)?;
        Ok(async move {
            let mut datagram = vec![0; 64 * 1024];
            loop {
                let Ok(mut ready) = fd.readable().await else { return };
                let read = |fd: &AsyncFd<_>| {
                    let (length, _) = rustix::net::recv(fd, datagram.as_mut_slice(), rustix::net::RecvFlags::empty())?;
                    Ok(length)
                };
                match ready.try_io(read) {
                    Ok(Ok(length)) => {
                        for (instance, refused) in packets(&datagram[..length]) {
                            lists.report(instance, refused);
                        }
                    }
                    // The receive buffer overflowed; lost refusals are reported when they happen
                    // again.
                    Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                    Ok(Err(_)) => tokio::time::sleep(PAUSE).await,
                    Err(_would_block) => {}
                }
            }
        })
    }
}

/// Binds to a group, with packets delivered one by one.
fn bind(group: u16) -> Vec<Message> {
    let [high, low] = group.to_be_bytes();
    let fixed = [libc::AF_UNSPEC as u8, 0, high, low];
    let configure = |what| Message::new(CONFIGURE, libc::NLM_F_ACK, &fixed, what);
    let mut mode = PACKET_BYTES.to_be_bytes().to_vec();
    mode.extend([WITH_PACKET, 0]);
    vec![
        configure(Attributes::new().with(COMMAND, &[BIND])),
        configure(Attributes::new().with(MODE, &mode).network_number(WAIT_FOR, 1)),
    ]
}

/// Source and destination of the packets in a datagram.
fn packets(datagram: &[u8]) -> Vec<(Ipv4Addr, Refused)> {
    let of_packets = answers(datagram).into_iter().filter(|answer| answer.kind == PACKET);
    let payloads = of_packets.filter_map(|answer| {
        let attributes = attributes(answer.body.get(FIXED_BYTES..)?);
        attributes.into_iter().find(|(kind, _)| *kind == PAYLOAD).map(|(_, packet)| packet)
    });
    payloads.filter_map(destination).collect()
}

/// Source and destination of a packet; TCP and UDP have ports at the same offset. IPv6 sources are
/// identified by the IPv4 address in their last 32 bits.
fn destination(packet: &[u8]) -> Option<(Ipv4Addr, Refused)> {
    let v4 = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let version_and_length = *packet.first()?;
    let (source, address, protocol, header_bytes) = match version_and_length >> 4 {
        4 => (v4(12)?, IpAddr::V4(v4(16)?), *packet.get(9)?, usize::from(version_and_length & 0xf) * 4),
        6 => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?);
            (v4(20)?, IpAddr::V6(address), *packet.get(6)?, IPV6_HEADER_BYTES)
        }
        _ => return None,
    };
    let port_at = header_bytes + 2;
    let port = match i32::from(protocol) {
        libc::IPPROTO_TCP | libc::IPPROTO_UDP => {
            Some(u16::from_be_bytes(packet.get(port_at..port_at + 2)?.try_into().ok()?))
        }
        _ => None,
    };
    Some((source, Refused::Address { address, protocol, port }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SYN from 10.222.0.2 to 203.0.113.5 port 443, as the kernel sends it.
    fn syn() -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 10, 222, 0, 2, 203, 0, 113, 5];
        packet.extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1]);
        packet
    }

    #[test]
    fn a_packet_tells_from_whom_it_was_and_where_to() {
        let message = Message::new(PACKET, 0, &[2, 0, 0, 0], Attributes::new().with(1, &[0; 4]).with(PAYLOAD, &syn()));
        let bytes = message.numbered(0);
        let address = IpAddr::from([203, 0, 113, 5]);
        let refused = Refused::Address { address, protocol: 6, port: Some(443) };
        assert_eq!(packets(&bytes), [(Ipv4Addr::new(10, 222, 0, 2), refused)]);
        // An echo request has no ports.
        let mut ping = syn();
        ping[9] = 1;
        assert_eq!(destination(&ping).map(|(_, refused)| refused.to_string()), Some("icmp 203.0.113.5".to_owned()));
        let mut of_ipv6 = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        of_ipv6.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0xade, 2).octets());
        of_ipv6.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets());
        of_ipv6.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
        let (source, refused) = destination(&of_ipv6).expect("whole");
        assert_eq!((source, refused.to_string()), ([10, 222, 0, 2].into(), "udp [2001:db8::7]:53".to_owned()));
    }

    proptest! {
        #[test]
        fn no_packet_is_read_beyond_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            destination(&bytes);
            packets(&bytes);
        }
    }
}
