//! Which ports of this machine each link may reach, by its address, and why another is refused.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use types::PortRange;

/// Refused ports of a link that are reported: an instance that scans ports must not fill the log.
const REPORTED_PORTS_MAX: usize = 16;

/// Name of the gateway inside instances; an egress list with it allows access.
pub const GATEWAY_NAME: &str = "gateway.sampan.internal";
/// Name of the host inside instances.
pub const HOST_NAME: &str = "host.sampan.internal";

/// What a link may reach on the host.
pub struct HostAccess {
    /// Ports of the loopback.
    pub ports: Vec<u16>,
    /// First and last of the ports by which it may reach the gateway.
    pub gateway_ports: Vec<(u16, u16)>,
    /// Receives a message about refused connections, once per port.
    pub report: Box<dyn Fn(&str) + Send + Sync>,
}

/// A link with access, for as long as it exists.
pub struct Member {
    access: HostAccess,
    /// Ports that were reported, and whether they were the gateway's.
    reported: Mutex<BTreeSet<(bool, u16)>>,
    /// Cancelled when the link is removed.
    pub gone: CancellationToken,
}

/// Why a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The function has not asked for the port.
    NotDeclared,
    /// The operator does not allow it, or not any more.
    NotAllowed,
    /// The instance has reached its limit or its fair share of connections.
    TooMany,
    /// Nothing listens there.
    NoServer,
    /// The function's egress list does not have the gateway with this port.
    GatewayNotListed,
    /// The gateway is not reached by the port.
    GatewayPort,
    /// The instance has as many connections to the gateway as it may.
    TooManyToGateway,
    /// The gateway takes none: the platform stops.
    GatewayGone,
}

impl Refusal {
    /// The reason, and what to do.
    fn message(self, port: u16) -> String {
        let name = if self.is_of_gateway() { GATEWAY_NAME } else { HOST_NAME };
        let refused = format!("the connection to {name}:{port} was refused:");
        match self {
            Self::NotDeclared => {
                format!("{refused} the function has not asked for this port; deploy it with --host-port {port}")
            }
            Self::NotAllowed => format!("{refused} [network] host_ports of this installation does not have it"),
            Self::TooMany => format!(
                "{refused} too many are open; see [network] host_connections_per_instance_max and host_connections_max"
            ),
            Self::NoServer => {
                format!("{refused} no server accepts it at 127.0.0.1:{port} or [::1]:{port} of the machine")
            }
            Self::GatewayNotListed => format!(
                "{refused} it is not on the function's list; deploy it with {GATEWAY_NAME} on its list (sampan deploy \
                 --egress)"
            ),
            Self::GatewayPort => format!("{refused} the gateway has port 80, its own, and with TLS 443 and its own"),
            Self::TooManyToGateway => {
                format!("{refused} too many are open; see [network] gateway_connections_per_instance_max")
            }
            Self::GatewayGone => format!("{refused} the gateway takes no more connections"),
        }
    }

    fn is_of_gateway(self) -> bool {
        matches!(self, Self::GatewayNotListed | Self::GatewayPort | Self::TooManyToGateway | Self::GatewayGone)
    }
}

impl Member {
    /// Whether a port may be reached.
    pub fn check(&self, port: u16, allowed: &[PortRange]) -> Result<(), Refusal> {
        if !self.access.ports.contains(&port) {
            return Err(Refusal::NotDeclared);
        }
        if allowed.iter().any(|range| range.contains(port)) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Whether the gateway may be reached by a port.
    pub fn check_gateway(&self, port: u16) -> Result<(), Refusal> {
        let has = |(first, last): &(u16, u16)| (*first..=*last).contains(&port);
        if self.access.gateway_ports.iter().any(has) { Ok(()) } else { Err(Refusal::GatewayNotListed) }
    }

    /// Reports a refusal, unless one of the same port was.
    pub fn refuse(&self, port: u16, why: Refusal) {
        let is_first = {
            let mut reported = self.reported.lock();
            reported.len() < REPORTED_PORTS_MAX && reported.insert((why.is_of_gateway(), port))
        };
        if is_first {
            (self.access.report)(&why.message(port));
        }
    }
}

/// The links by their addresses.
#[derive(Default)]
pub struct AccessTable {
    members: Mutex<HashMap<Ipv4Addr, Arc<Member>>>,
}

impl AccessTable {
    /// Grants access to a link.
    pub fn insert(&self, address: Ipv4Addr, access: HostAccess) {
        let member = Member { access, reported: Mutex::default(), gone: CancellationToken::new() };
        self.members.lock().insert(address, Arc::new(member));
    }

    /// Removes a link and ends its connections.
    pub fn remove(&self, address: Ipv4Addr) {
        if let Some(member) = self.members.lock().remove(&address) {
            member.gone.cancel();
        }
    }

    /// The link with an address.
    pub fn get(&self, address: Ipv4Addr) -> Option<Arc<Member>> {
        self.members.lock().get(&address).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(ports: Vec<u16>) -> (Arc<Member>, Arc<Mutex<Vec<String>>>) {
        let (table, said) = (AccessTable::default(), Arc::<Mutex<Vec<String>>>::default());
        let log = said.clone();
        let report = Box::new(move |line: &str| log.lock().push(line.to_owned()));
        table.insert(Ipv4Addr::LOCALHOST, HostAccess { ports, gateway_ports: vec![(80, 80)], report });
        let member = table.get(Ipv4Addr::LOCALHOST).expect("it was inserted");
        table.remove(Ipv4Addr::LOCALHOST);
        assert!(table.get(Ipv4Addr::LOCALHOST).is_none() && member.gone.is_cancelled());
        (member, said)
    }

    #[test]
    fn a_port_is_reached_when_function_and_operator_have_it() {
        let allowed = ["3306", "5432-5440"].map(|text| text.parse().expect("ports"));
        let (member, _) = member(vec![3306, 5433, 22]);
        for (port, expected) in [
            (3306, Ok(())),
            (5433, Ok(())),
            (5432, Err(Refusal::NotDeclared)),
            (8080, Err(Refusal::NotDeclared)),
            (22, Err(Refusal::NotAllowed)),
        ] {
            assert_eq!(member.check(port, &allowed), expected, "{port}");
        }
        assert_eq!(member.check_gateway(80), Ok(()));
        assert_eq!(member.check_gateway(3306), Err(Refusal::GatewayNotListed), "the machine's ports are others");
    }

    #[test]
    fn a_refusal_is_said_once_a_port_and_names_what_to_change() {
        let (member, said) = member(Vec::new());
        for _ in 0..3 {
            member.refuse(3306, Refusal::NotDeclared);
            member.refuse(22, Refusal::NotAllowed);
        }
        let lines = std::mem::take(&mut *said.lock());
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("host.sampan.internal:3306") && lines[0].ends_with("--host-port 3306"), "{lines:?}");
        assert!(lines[1].contains("[network] host_ports"), "{lines:?}");
        (1..1000).for_each(|port| member.refuse(port, Refusal::NoServer));
        assert_eq!(said.lock().len(), REPORTED_PORTS_MAX - 2);
    }
}
