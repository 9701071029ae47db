//! Netlink: how a message is laid out, and a socket that sends some and reads the answers. Must not know what messages mean.

mod message;
mod socket;

#[cfg(feature = "fuzzing")]
pub use message::answers;

pub use message::{Attributes, Message, attributes, u32_at};
pub use socket::Socket;
