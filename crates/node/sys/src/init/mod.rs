//! What clones and becomes an instance: the init process that joins and makes namespaces, builds
//! its root, gives up its rights and executes the image's program, all as an [`InitSpec`] says
//! (`runc init` in other runtimes).
//!
//! The parent makes everything ready, every path a terminated string and every descriptor open: the
//! child makes system calls only and allocates nothing. What failed comes back as a [`Step`] and an
//! error number in memory that both share.

use std::os::fd::RawFd;

mod child_state;
mod credentials;
mod entry;
mod etc_files;
mod fds;
mod join;
mod oci_runtime;
mod process;
mod root;
pub mod spec;
mod start;
mod step;

pub use spec::InitSpec;
pub use start::{Spawned, start};
pub use step::{Failure, Step};

/// The descriptor that an init program is executed by: the first that is not input or output.
const INIT_FD: RawFd = 3;
