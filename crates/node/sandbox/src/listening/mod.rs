//! Detection of an instance's listening server, and of the addresses where it listens instead.

mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub use watch::{Heard, Watch};

use types::ExitStatus;

/// First interval between two attempts to connect.
const FIRST_INTERVAL: Duration = Duration::from_micros(100);
/// Divisor of the time waited so far that gives the interval, so that a slow server is found about
/// 1% late.
const SHARE: u32 = 50;
/// One attempt in this many tries IPv6: servers that listen there alone are rare, and it halves the
/// cost of the wait.
const ATTEMPTS_PER_V6: u32 = 8;

/// A listening socket of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Address; unspecified means every one.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Why the wait ended without a listening server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotListening {
    /// The instance ended.
    Ended(ExitStatus),
    /// The wait timed out; the addresses where it does listen.
    TimedOut(Vec<Listener>),
}

/// Time to sleep before the next attempt, `waited` into the wait. Pure.
pub fn interval(waited: Duration, longest: Duration) -> Duration {
    (waited / SHARE).min(longest).max(FIRST_INTERVAL)
}

/// Whether this attempt, counted from 0, tries IPv6 too. Pure.
pub fn tries_v6(attempt: u32) -> bool {
    attempt % ATTEMPTS_PER_V6 == ATTEMPTS_PER_V6 - 1
}

/// Listening sockets in the text of `/proc/<pid>/net/tcp` or `tcp6`, each once.
pub fn parse(table: &str) -> Vec<Listener> {
    /// State `TCP_LISTEN` (net/tcp_states.h).
    const LISTEN: &str = "0A";
    let mut found: Vec<Listener> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state) = (fields.next()?, fields.nth(1)?);
            if state != LISTEN {
                return None;
            }
            let (address, port) = local.split_once(':')?;
            Some(Listener { address: parse_address(address)?, port: u16::from_str_radix(port, 16).ok()? })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Addresses are written as 32-bit words in the machine's byte order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..hex.len())
        .step_by(8)
        .map(|at| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let bytes: Vec<u8> = words?.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// The loopback addresses to try, in turn.
pub fn candidates(port: u16) -> [SocketAddr; 2] {
    [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_tables() {
        let v4 = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
            1: 00000000:2328 00000000:0000 0A 00000000:00000000\n   \
            2: 0100007F:2328 0100007F:9999 01 00000000:00000000\n";
        let at = |address: &str, port| Listener { address: address.parse().expect("an address"), port };
        assert_eq!(parse(v4), [at("0.0.0.0", 9000), at("127.0.0.1", 8080)]);
        let v6 = "header\n 0: 00000000000000000000000001000000:1F90 0:0 0A x\n";
        assert_eq!(parse(v6), [at("::1", 8080)]);
        assert_eq!(parse("header\n garbage 0A\n"), []);
    }

    #[test]
    fn attempts_are_eager_at_first_and_rare_later() {
        let longest = Duration::from_millis(10);
        assert_eq!(interval(Duration::ZERO, longest), FIRST_INTERVAL);
        assert_eq!(interval(Duration::from_millis(5), longest), FIRST_INTERVAL);
        assert_eq!(interval(Duration::from_millis(100), longest), Duration::from_millis(2));
        assert_eq!(interval(Duration::from_secs(60), longest), longest);
        assert_eq!((0..16).filter(|attempt| tries_v6(*attempt)).collect::<Vec<_>>(), [7, 15]);
    }
}
