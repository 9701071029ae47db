//! The sealed store: settings and logins from `sampan registry add`, by host, with their secrets
//! encrypted on disk.

mod entry;
mod key;
mod key_command;
mod seal;
mod store;

pub(crate) use entry::{Entry, Login, TcrLogin};
pub use key::KeyFile;
pub use seal::Sealer;
pub(crate) use store::SealedStore;
