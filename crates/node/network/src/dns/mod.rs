//! The name server of instances: it passes their questions to the machine's and the answers back. It keeps nothing, passes
//! on single questions for records of a name only, and gives every instance its share of what is under way.

mod message;
mod places;
mod server;
mod upstream;

pub use server::NameServer;
pub use upstream::Resolving;
