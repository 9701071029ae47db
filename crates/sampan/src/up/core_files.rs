//! Keeps the platform's memory, which contains keys and secrets, out of core files and debuggers.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Limit of 1 byte (`RLIMIT_CORE`): the kernel writes no core file shorter than a page, and a piped
/// `core_pattern` (`|program`) is skipped only at a limit of exactly 1; it ignores 0.
const CORE_BYTES_MAX: u64 = 1;

/// Disables core files of this process and its child programs, and ptrace by unprivileged users.
pub fn forbid() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The resource limit is needed too: a child that shares our memory is dumpable for a moment.
    let most = getrlimit(Resource::Core).maximum.map_or(CORE_BYTES_MAX, |hard| hard.min(CORE_BYTES_MAX));
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) })?)
}
