//! Names that the platform resolves itself: those of its own gateway, and all below
//! `sampan.internal`. Resolved by others, the platform's public names would lead to an address of
//! this host, which instances cannot reach, or out and back in again; and addresses from others
//! would be allowed for a function that has the name on its egress list.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use super::{answer, message};
use crate::host_relay::{GATEWAY_NAME, HOST_NAME};

/// Names below it are the platform's or do not exist.
const RESERVED: &str = "sampan.internal";

/// Whether a name, in lower case and without a final dot, is one of the gateway's.
pub type IsOwnName = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// This machine's address, the gateway's, and its names when they are known.
pub struct OwnNames {
    host: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
    names: OnceLock<IsOwnName>,
}

impl OwnNames {
    /// For a host and a gateway at these addresses. Without a gateway, no public names are
    /// resolved.
    pub fn new(host: Ipv4Addr, gateway: Option<Ipv4Addr>) -> Self {
        Self { host, gateway, names: OnceLock::new() }
    }

    /// Sets the gateway's names; only the first call has an effect.
    pub fn set(&self, names: IsOwnName) {
        self.names.set(names).ok();
    }

    /// The response to a query for one of them.
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let name = answer::asked_name(question)?;
        let address = match name.as_str() {
            GATEWAY_NAME => self.gateway,
            HOST_NAME => Some(self.host),
            other if is_reserved(other) => None,
            other => {
                let (gateway, is_own) = (self.gateway?, self.names.get()?);
                return is_own(other).then(|| message::address_of_name(question, gateway));
            }
        };
        Some(
            address
                .map_or_else(|| message::no_such_name(question), |address| message::address_of_name(question, address)),
        )
    }
}

fn is_reserved(name: &str) -> bool {
    name.strip_suffix(RESERVED).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(10, 222, 0, 1);

    fn question_of(name: &str, kind: u8) -> Vec<u8> {
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).expect("a label"));
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, kind, 0, 1]);
        question
    }

    fn question(kind: u8) -> Vec<u8> {
        question_of("Blog.example", kind)
    }

    #[test]
    fn nobody_else_is_asked_for_the_platforms_names() {
        let gateway = Ipv4Addr::new(10, 222, 0, 2);
        let (with, without) = (OwnNames::new(HOST, Some(gateway)), OwnNames::new(HOST, None));
        let addresses = |names: &OwnNames, name: &str| {
            let asked = question_of(name, 1);
            names.answer(&asked).map(|answer| (answer[3] & 0x0f, answer::addresses(&answer, &asked)))
        };
        const NO_SUCH_NAME: u8 = 3;
        assert_eq!(addresses(&with, "Gateway.sampan.internal"), Some((0, vec![gateway.into()])));
        assert_eq!(addresses(&with, "host.sampan.internal"), Some((0, vec![HOST.into()])));
        assert_eq!(addresses(&without, "gateway.sampan.internal"), Some((NO_SUCH_NAME, vec![])));
        for other in ["sampan.internal", "x.sampan.internal", "x.gateway.sampan.internal"] {
            assert_eq!(addresses(&with, other), Some((NO_SUCH_NAME, vec![])), "{other}");
        }
        assert_eq!(addresses(&with, "notsampan.internal"), None);
    }

    #[test]
    fn own_names_have_the_gateways_address_and_no_other_records() {
        let gateway = Ipv4Addr::new(10, 222, 0, 2);
        let names = OwnNames::new(HOST, Some(gateway));
        assert_eq!(names.answer(&question(1)), None, "not known yet");
        names.set(Arc::new(|name| name == "blog.example"));
        let answer = names.answer(&question(1)).expect("its own");
        assert_eq!(answer::addresses(&answer, &question(1)), [gateway]);
        let six = names.answer(&question(28)).expect("its own");
        assert_eq!((six[3] & 0x0f, answer::addresses(&six, &question(28))), (0, vec![]), "no error, and no address");
        names.set(Arc::new(|_| false));
        assert!(names.answer(&question(1)).is_some(), "the first names stay");
        assert_eq!(OwnNames::new(HOST, None).answer(&question(1)), None);
        let other = OwnNames::new(HOST, Some(gateway));
        other.set(Arc::new(|_| false));
        assert_eq!(other.answer(&question(1)), None);
    }
}
