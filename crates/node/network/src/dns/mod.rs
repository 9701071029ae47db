//! The name server of instances: forwards queries to the host's resolvers and responses back. It
//! does not cache, forwards only single queries for records of a name, and gives every instance a
//! fair share of the queries in flight.

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
