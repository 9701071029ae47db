//! Attacks over the network.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::files::number;

/// Timeout for a peer's response.
const WAIT: Duration = Duration::from_secs(2);

/// Connects to `address:port`; returns the error number, `-1` on timeout.
pub fn connect(to: &str) -> String {
    let connected = parse(to).and_then(|to| TcpStream::connect_timeout(&to, WAIT));
    connected.map_or_else(|error| number(&error).to_string(), |_| "0".to_owned())
}

/// Connects and returns the data that the server sends.
pub fn ask(to: &str) -> String {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&parse(to)?, WAIT)?;
        stream.set_read_timeout(Some(WAIT))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok::<_, io::Error>(text)
    };
    answer().unwrap_or_else(|error| format!("error {}", number(&error)))
}

/// The response to a request for `address:port/path`, optionally followed by `@` and another host.
pub fn http(what: &str) -> String {
    let (to, rest) = what.split_once('/').unwrap_or((what, ""));
    let (path, host) = rest.rsplit_once('@').unwrap_or((rest, to));
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&parse(to)?, WAIT)?;
        stream.set_read_timeout(Some(WAIT * 10))?;
        stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    answer().unwrap_or_else(|error| format!("error {}", number(&error)))
}

/// Calls itself recursively by its own URL, `address:port/path`, and returns the last response.
pub fn again(own: &str) -> String {
    http(&format!("{own}/again?{own}"))
}

/// `address:port:bytes` sends this many bytes, and returns how many were sent.
pub fn send(what: &str) -> String {
    let Some((to, bytes)) = what.rsplit_once(':') else { return "error -1".to_owned() };
    let sent = || {
        let mut stream = TcpStream::connect_timeout(&parse(to)?, WAIT)?;
        let bytes = vec![b'x'; bytes.parse().unwrap_or(0)];
        stream.write_all(&bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        // The peer closes after it has read everything.
        stream.read_to_end(&mut Vec::new())?;
        Ok::<_, io::Error>(bytes.len())
    };
    sent().map_or_else(|error| format!("error {}", number(&error)), |bytes| bytes.to_string())
}

/// Sends to itself without reading, up to this many MB; returns how many were sent, and the error.
pub fn held(mb: &str) -> String {
    const MB: usize = 1 << 20;
    let most = mb.parse::<usize>().unwrap_or_default() * MB;
    let (mut sent, mut pairs) = (0, Vec::new());
    let mut fill = || {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let block = vec![7; 64 << 10];
        while sent < most {
            let mut from = TcpStream::connect(listener.local_addr()?)?;
            let (to, _) = listener.accept()?;
            from.set_nonblocking(true)?;
            // Until it would block.
            while let Ok(bytes) = from.write(&block) {
                sent += bytes;
            }
            pairs.push((from, to));
        }
        Ok::<_, io::Error>(())
    };
    let error = fill().err();
    format!("{} {}", sent / MB, error.map_or(0, |error| number(&error)))
}

/// The first IPv4 address of a name, from the first server in `/etc/resolv.conf` (RFC 1035).
pub fn resolve(name: &str) -> String {
    let answer = || {
        let text = fs::read_to_string("/etc/resolv.conf")?;
        let server = text.lines().find_map(|line| line.strip_prefix("nameserver ")?.trim().parse::<IpAddr>().ok());
        let server = server.ok_or(io::ErrorKind::NotFound)?;
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.set_read_timeout(Some(WAIT))?;
        // An id, recursion desired, one question.
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
            question.extend_from_slice(label.as_bytes());
        }
        // The root label, type A, class IN.
        question.extend([0, 0, 1, 0, 1]);
        socket.send_to(&question, (server, 53))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // With one record, the address is the answer's last four bytes.
        let [.., a, b, c, d] = answer[..length] else { return Err(io::ErrorKind::InvalidData.into()) };
        Ok(format!("{a}.{b}.{c}.{d}"))
    };
    answer().unwrap_or_else(|error: io::Error| format!("error {}", number(&error)))
}

fn parse(address: &str) -> io::Result<SocketAddr> {
    address.parse().ok().or_else(|| named(address)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Resolves `name:port` through `/etc/hosts`.
fn named(address: &str) -> Option<SocketAddr> {
    let (name, port) = address.split_once(':')?;
    let hosts = fs::read_to_string("/etc/hosts").ok()?;
    let line = hosts.lines().find(|line| line.split_whitespace().skip(1).any(|own| own == name))?;
    Some(SocketAddr::new(line.split_whitespace().next()?.parse().ok()?, port.parse().ok()?))
}
