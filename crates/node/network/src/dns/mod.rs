//! The name server of instances: it passes their questions to the machine's and the answers back. It keeps nothing and
//! understands little: who asks, and which answer belongs to which question.

mod message;
mod server;

pub use server::{NameServer, Resolving};
