//! The name server of instances: it passes their questions to the machine's and the answers back.
//! It keeps nothing, passes on single questions for records of a name only, and gives every
//! instance its share of what is under way.

mod message;
mod places;
mod server;
mod upstream;

pub use server::NameServer;
pub use upstream::Resolving;

/// Does with a message what the relay does, without asking anyone: what fuzzing exercises.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(message: &[u8]) {
    match message::check(message) {
        message::Verdict::Ignore => {}
        message::Verdict::Refuse(code) => {
            assert!(message::answers(&message::refusal(message, code), message));
        }
        message::Verdict::Ask => {
            assert!(message::answers(&message::too_long(message), message));
        }
    }
}
