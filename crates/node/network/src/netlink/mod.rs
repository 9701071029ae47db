//! Netlink: how a message is laid out, and a socket that sends some and reads the answers.

mod message;
mod socket;

#[cfg(feature = "fuzzing")]
pub use message::answers;

pub use message::{Attributes, Message, attributes, u32_at};
pub use socket::Socket;
