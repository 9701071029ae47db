//! Names that lead to the platform's own gateway. An instance that calls its own public name would
//! be sent to an address of this machine, which it does not reach, or out and back in again.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use super::{answer, message};

/// Whether a name, in lower case and without a final dot, is one of the gateway's.
pub type IsOwnName = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The gateway's address, and its names when they are known.
pub struct OwnNames {
    gateway: Option<Ipv4Addr>,
    names: OnceLock<IsOwnName>,
}

impl OwnNames {
    /// Of a gateway at this address; of none, no name is its own.
    pub fn new(gateway: Option<Ipv4Addr>) -> Self {
        Self { gateway, names: OnceLock::new() }
    }

    /// Says which they are; the first to say so is heard.
    pub fn set(&self, names: IsOwnName) {
        self.names.set(names).ok();
    }

    /// The answer to a question for one of them.
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (gateway, is_own) = (self.gateway?, self.names.get()?);
        let name = answer::asked_name(question)?;
        is_own(&name).then(|| message::address_of_name(question, gateway))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: u8) -> Vec<u8> {
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x04Blog\x07example\0\0");
        question.extend([kind, 0, 1]);
        question
    }

    #[test]
    fn own_names_have_the_gateways_address_and_no_other_records() {
        let gateway = Ipv4Addr::new(10, 222, 0, 2);
        let names = OwnNames::new(Some(gateway));
        assert_eq!(names.answer(&question(1)), None, "not known yet");
        names.set(Arc::new(|name| name == "blog.example"));
        let answer = names.answer(&question(1)).expect("its own");
        assert_eq!(answer::addresses(&answer, &question(1)), [gateway]);
        let six = names.answer(&question(28)).expect("its own");
        assert_eq!((six[3] & 0x0f, answer::addresses(&six, &question(28))), (0, vec![]), "no error, and no address");
        names.set(Arc::new(|_| false));
        assert!(names.answer(&question(1)).is_some(), "the first names stay");
        assert_eq!(OwnNames::new(None).answer(&question(1)), None);
        let other = OwnNames::new(Some(gateway));
        other.set(Arc::new(|_| false));
        assert_eq!(other.answer(&question(1)), None);
    }
}
