//! Keeps the platform's memory, which has keys and secrets, out of core files and of debuggers.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// The kernel writes no core file below a page, and gives none to a program (a `core_pattern` with
/// `|`) at this limit alone: of 0 it takes no notice there.
const CORE_BYTES_MAX: u64 = 1;

/// Forbids core files of this process and of the programs that it starts, and its tracing by users
/// without privileges.
pub fn forbid() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Beside that, because a child that shares our memory is dumpable for a moment.
    let most = getrlimit(Resource::Core).maximum.map_or(CORE_BYTES_MAX, |hard| hard.min(CORE_BYTES_MAX));
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(most), maximum: Some(most) })?)
}
