//! The init of an instance: it is cloned, joins and creates namespaces, builds its root, drops
//! privileges and executes the image's program, as an [`InitSpec`] describes (`runc init` in other
//! runtimes).
//!
//! The parent prepares everything, every path as a terminated string and every descriptor open: the
//! child makes system calls only and does not allocate. A failure is reported as a [`Step`] and an
//! errno value in shared memory.

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

/// Number of the descriptor by which an init program is executed: the first that is not input or
/// output.
const INIT_FD: RawFd = 3;
