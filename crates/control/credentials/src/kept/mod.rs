//! What `sampan registry add` keeps, by host, and its secrets. Owns the file, its sealing and its key. Must not know what
//! the secrets are for.

mod entry;
mod file;
mod key;
mod seal;

pub(crate) use entry::{Entry, Login, TcrLogin};
pub(crate) use file::Kept;
pub use key::KeyFile;
