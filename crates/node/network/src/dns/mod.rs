//! The name server of instances: it passes their questions to the machine's and the answers back.
//! It keeps nothing, passes on single questions for records of a name only, and gives every
//! instance its share of what is under way.

mod answer;
mod message;
mod own_names;
mod places;
mod server;
mod upstream;

pub use own_names::{IsOwnName, OwnNames};
pub use places::{Place, Places};
pub use server::NameServer;
pub use upstream::Resolving;

/// Handles a message like the relay, without a resolver: for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(message: &[u8]) {
    answer::addresses(message, message);
    match message::check(message) {
        message::Handling::Ignore => {}
        message::Handling::Refuse(code) => {
            assert!(message::answers(&message::refusal(message, code), message));
        }
        message::Handling::Forward => {
            assert!(message::answers(&message::too_long(message), message));
            assert!(message::answers(&message::no_such_name(message), message));
            answer::asked_name(message);
        }
    }
}
