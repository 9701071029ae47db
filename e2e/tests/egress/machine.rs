//! A simulated machine in a network namespace, and the network outside it: a server on each tested
//! port, a name server, and the clouds' metadata address. The real machine's network is unchanged.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::net::netlink::NETFILTER;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

/// The machine, and an outside host that is its default gateway.
pub const MACHINE: &str = "198.51.100.1";
pub const OUTSIDE: &str = "198.51.100.2";
/// An outside address that is denied by default.
pub const METADATA: &str = "169.254.169.254";
/// Ports of servers that answer with their client's address, and of servers that read everything.
pub const WHO_PORT: u16 = 7000;
pub const SINK_PORT: u16 = 7001;
/// The name server's answer to every query, except for names whose first label selects another
/// address: `loopback`, `machine`, `metadata`.
pub const NAMED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// The network outside.
pub struct Outside {
    /// Bytes received by the sink.
    pub received: Arc<AtomicU64>,
    // Keeps the namespace alive.
    network: OwnedFd,
}

impl Outside {
    /// Path of the network namespace, for nsenter(1).
    #[allow(dead_code)] // Used by the test `ffmpeg`, which shares this file.
    pub fn namespace(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.network.as_raw_fd())
    }
}

/// Runs a test on the machine.
pub fn on_machine<F>(test: impl FnOnce(Outside) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let real = sys::namespace::current_network()?;
    let machine = sys::namespace::new_network(real.as_fd(), || Ok(()))?;
    let mut outcome = Ok(());
    sys::namespace::in_network(machine.as_fd(), real.as_fd(), || {
        // Threads and processes started here stay in the machine's namespace.
        outcome = build(&machine).and_then(|outside| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test(outside))
        });
        Ok(())
    })?;
    outcome
}

fn build(machine: &OwnedFd) -> anyhow::Result<Outside> {
    let network = sys::namespace::new_network(machine.as_fd(), || Ok(()))?;
    let there = format!("/proc/{}/fd/{}", std::process::id(), network.as_raw_fd());
    ip(&format!("link add up0 type veth peer name out0 netns {there}"))?;
    ip(&format!("address add {MACHINE}/24 dev up0"))?;
    ip("link set up0 up")?;
    let received = Arc::new(AtomicU64::new(0));
    let mut built = Ok(String::new());
    sys::namespace::in_network(network.as_fd(), machine.as_fd(), || {
        built = ip(&format!("address add {OUTSIDE}/24 dev out0"))
            .and_then(|_| ip(&format!("address add {METADATA}/32 dev lo")))
            .and_then(|_| ip(&format!("address add {NAMED}/32 dev lo")))
            .and_then(|_| ip("link set out0 up"));
        tell_who(WHO_PORT)?;
        sink(SINK_PORT, received.clone())?;
        name_server()
    })?;
    built?;
    ip(&format!("route add default via {OUTSIDE}"))?;
    // The machine's own server, which instances must not reach.
    tell_who(WHO_PORT)?;
    Ok(Outside { received, network })
}

/// Answers each client with its address.
fn tell_who(port: u16) -> io::Result<()> {
    serve(port, |mut stream| {
        let peer = stream.peer_addr()?;
        stream.write_all(peer.ip().to_string().as_bytes())
    })
}

/// Reads and discards everything.
fn sink(port: u16, received: Arc<AtomicU64>) -> io::Result<()> {
    serve(port, move |mut stream| {
        let bytes = io::copy(&mut stream, &mut io::sink())?;
        received.fetch_add(bytes, Ordering::SeqCst);
        Ok(())
    })
}

fn serve(port: u16, answer: impl Fn(TcpStream) -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            // A disconnect of the client is not an error.
            answer(stream).ok();
        }
    });
    Ok(())
}

/// The address for the name in a question.
fn named(question: &[u8]) -> Ipv4Addr {
    let first = question.get(13..).unwrap_or_default();
    let others = [("loopback", "127.0.0.1"), ("machine", MACHINE), ("metadata", METADATA)];
    let other = others.into_iter().find(|(label, _)| first.starts_with(label.as_bytes()));
    other.and_then(|(_, address)| address.parse().ok()).unwrap_or(NAMED)
}

/// Answers every query with one address (RFC 1035).
fn name_server() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut answer = buffer[..length].to_vec();
            // A response with recursion, one question and one answer.
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            // The question's name, type A, class IN, TTL of a minute, four bytes.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(named(&buffer[..length]).octets());
            socket.send_to(&answer, from).ok();
        }
    });
    Ok(())
}

/// Runs `ip` in the namespace of the calling thread, and returns its output.
pub fn ip(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("ip (iproute2) is needed")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Links, addresses and routes of the machine, and its nftables tables.
pub fn traces() -> anyhow::Result<([String; 3], Vec<String>)> {
    Ok(([ip("-o link")?, ip("-o -4 address")?, ip("-4 route show table all")?], rule_tables()?))
}

/// Names of nftables tables, read over netlink (linux/netfilter/nf_tables.h), because `nft` may not
/// be installed.
fn rule_tables() -> io::Result<Vec<String>> {
    /// `NFNL_SUBSYS_NFTABLES`, `NFT_MSG_GETTABLE`; `NLM_F_REQUEST | NLM_F_DUMP`.
    const GET_TABLES: u16 = 10 << 8 | 1;
    const DUMP: u16 = 0x301;
    const MESSAGE_DONE: u16 = 3;
    /// Attributes follow the message header and family; the name comes first.
    const NAME_AT: usize = 20;
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER))?;
    let [length_low, length_high] = (NAME_AT as u16).to_le_bytes();
    let mut request = vec![length_low, length_high, 0, 0];
    request.extend(GET_TABLES.to_le_bytes());
    request.extend(DUMP.to_le_bytes());
    request.extend([0; 12]);
    send(&socket, &request, SendFlags::empty())?;
    let mut names = Vec::new();
    loop {
        let mut buffer = [0_u8; 32 << 10];
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut left = &buffer[..length];
        while left.len() >= NAME_AT {
            let number = |at: usize| u16::from_le_bytes([left[at], left[at + 1]]);
            if number(4) == MESSAGE_DONE {
                return Ok(names);
            }
            let name = &left[NAME_AT + 4..NAME_AT + usize::from(number(NAME_AT))];
            names.push(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
            // Messages are aligned to four bytes.
            left = &left[left.len().min(usize::from(number(0)).next_multiple_of(4))..];
        }
    }
}

/// Waits until the outside link is up, which takes a moment.
pub async fn settled() -> anyhow::Result<()> {
    e2e::wait::until("the link to the outside is up", || async {
        Ok((!ip("-o link")?.contains("NO-CARRIER") && can_reach_outside()).then_some(()))
    })
    .await
}

fn can_reach_outside() -> bool {
    let asked = || {
        let address = format!("{OUTSIDE}:{WHO_PORT}").parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    asked().is_ok_and(|text| text == MACHINE)
}
