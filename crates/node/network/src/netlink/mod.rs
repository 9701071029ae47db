//! Netlink: how a message is laid out, and a socket that sends some and reads the answers.

mod message;
mod socket;

pub use message::{Attributes, Message, answers, attributes, u32_at};
pub use socket::{Socket, change};
