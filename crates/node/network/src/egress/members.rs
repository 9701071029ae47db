//! A restricted instance and the reports of what was refused to it.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use types::Egress;

use super::list::List;

/// The egress list of an instance's function, and the receiver of its refusals.
#[derive(Clone)]
pub struct EgressSpec {
    /// The function; its instances share addresses of names.
    pub owner: String,
    /// What it may reach.
    pub list: Egress,
    /// Called once for each destination that was refused. Must not block.
    pub refused: Arc<dyn Fn(&Refused) + Send + Sync>,
}

impl fmt::Debug for EgressSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressSpec").field("owner", &self.owner).field("list", &self.list).finish_non_exhaustive()
    }
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refused {
    /// A packet to an address.
    Address {
        /// The destination.
        address: IpAddr,
        /// TCP, UDP…
        protocol: u8,
        /// The destination port, for protocols with ports.
        port: Option<u16>,
    },
    /// A DNS query for a name.
    Name(String),
    /// Further refusals that are not reported one by one.
    More,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, protocol, port } => {
                match i32::from(*protocol) {
                    libc::IPPROTO_TCP => write!(f, "tcp ")?,
                    libc::IPPROTO_UDP => write!(f, "udp ")?,
                    libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => write!(f, "icmp ")?,
                    other => write!(f, "protocol {other} ")?,
                }
                match (address, port) {
                    (IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
                    (address, Some(port)) => write!(f, "{address}:{port}"),
                    (address, None) => write!(f, "{address}"),
                }
            }
            Self::Name(name) => write!(f, "the name {name}"),
            Self::More => write!(f, "further destinations"),
        }
    }
}

/// An instance that is restricted to a list.
pub struct Member {
    /// Its list.
    pub list: Arc<List>,
    spec: EgressSpec,
    reported: Mutex<HashSet<Refused>>,
    reported_max: usize,
}

impl Member {
    /// A restricted instance; `reported_max` of its refusals are reported.
    pub fn new(spec: EgressSpec, list: Arc<List>, reported_max: usize) -> Self {
        Self { list, spec, reported: Mutex::default(), reported_max }
    }

    /// The key of its list.
    pub fn key(&self) -> (String, Egress) {
        (self.spec.owner.clone(), self.spec.list.clone())
    }

    /// Reports a refusal once, unless too many were reported already.
    pub fn report(&self, refused: Refused) {
        let refused = {
            let mut reported = self.reported.lock();
            let refused = if reported.len() < self.reported_max { refused } else { Refused::More };
            if reported.len() > self.reported_max || !reported.insert(refused.clone()) {
                return;
            }
            refused
        };
        (self.spec.refused)(&refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_reported_once_and_too_many_are_said_to_be() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = told.clone();
        let list = Egress::parse(&["none"]).expect("a list");
        let refused = Arc::new(move |refused: &Refused| hears.lock().push(refused.to_string()));
        let spec = EgressSpec { owner: "f".into(), list: list.clone(), refused };
        let member = Member::new(spec, Arc::new(List::new(0, &list, false)), 3);
        for port in [443, 443, 80, 443] {
            let address = IpAddr::from([192, 0, 2, 1]);
            member.report(Refused::Address { address, protocol: 6, port: Some(port) });
        }
        for name in ["a.example", "a.example", "b.example", "c.example", "a.example"] {
            member.report(Refused::Name(name.to_owned()));
        }
        let want = ["tcp 192.0.2.1:443", "tcp 192.0.2.1:80", "the name a.example", "further destinations"];
        assert_eq!(*told.lock(), want);
    }

    #[test]
    fn a_destination_is_shown_as_it_is_written() {
        let shown = |address: &str, protocol, port| {
            Refused::Address { address: address.parse().expect("an address"), protocol, port }.to_string()
        };
        assert_eq!(shown("192.0.2.1", 17, Some(53)), "udp 192.0.2.1:53");
        assert_eq!(shown("192.0.2.1", 1, None), "icmp 192.0.2.1");
        assert_eq!(shown("2001:db8::1", 6, Some(443)), "tcp [2001:db8::1]:443");
        assert_eq!(shown("192.0.2.1", 132, None), "protocol 132 192.0.2.1");
    }
}
