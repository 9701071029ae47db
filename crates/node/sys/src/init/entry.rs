//! The init between `clone3` and `execve`, in order. System calls only: it shares the parent's
//! memory, so it must not allocate, lock, or touch a thread-local other than `errno`, which the
//! suspended parent thread does not use meanwhile.

use std::ffi::c_void;

use super::child_state::Child;
use super::credentials::give_up_rights;
use super::join::{end_with_platform, join};
use super::process::settle;
use super::root::build_root;
use super::step::Step;
use super::{INIT_FD, oci_runtime};
use crate::calls::{Done, check, errno};

/// The last real-time signal (`_NSIG`, asm-generic/signal.h).
const SIGNAL_MAX: i32 = 64;

/// Exit code of a child that could not execute; only the parent that reaps it reads it.
const EXIT_FAILED: i32 = 127;

/// Entry of the child.
pub(super) extern "C" fn run(argument: *mut c_void) -> ! {
    // SAFETY: the parent passes a pointer to its `Child`, which it does not touch until this
    // process executes or ends.
    let child = unsafe { &mut *argument.cast::<Child<'_>>() };
    default_signals();
    let prepared = match end_with_platform(child).and_then(|()| take_files(child)) {
        Err(errno) => Err(errno),
        Ok(()) if child.spec.oci_runtime.is_some() => oci_runtime::prepare(child),
        Ok(()) => prepare(child),
    };
    let errno = match prepared {
        Err(errno) => errno,
        Ok(()) => execute(child),
    };
    child.errno = errno;
    // SAFETY: _exit ends this process only.
    unsafe { libc::_exit(EXIT_FAILED) }
}

/// Resets signal handling. The parent blocked all signals for the start, and CLONE_CLEAR_SIGHAND
/// keeps ignored ones (SIGPIPE) ignored: the program must inherit neither. Handlers are reset now,
/// before the filter slows each of these calls; the mask comes last.
fn default_signals() {
    let default = [0_u64; 4];
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the kernel's sigaction is four words on this architecture, all zero for the
        // default handler; the call fails for the two signals that have none.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &default, std::ptr::null::<u64>(), 8) };
    }
}

/// Unshares the table of descriptors: descriptors opened from here on end with this process.
fn take_files(child: &mut Child<'_>) -> Done {
    let Some(above) = child.fds_above else { return Ok(()) };
    child.at(Step::Files);
    // SAFETY: with CLOSE_RANGE_UNSHARE the call closes nothing of the parent's: the range is left
    // out of the new table.
    check(unsafe { libc::syscall(libc::SYS_close_range, above, u32::MAX, libc::CLOSE_RANGE_UNSHARE) })
}

fn prepare(child: &mut Child<'_>) -> Done {
    // Modes of created files must not depend on the daemon's umask. SAFETY: umask takes a number;
    // this process has a copy of the file system attributes (no CLONE_FS).
    unsafe { libc::umask(0) };
    join(child)?;
    build_root(child)?;
    settle(child)?;
    give_up_rights(child)
}

/// Executes the init if there is one; otherwise tries each program in turn, as `execvp` does.
/// Returns the most informative error.
fn execute(child: &mut Child<'_>) -> i32 {
    child.at(Step::Execute);
    let none = 0_u64;
    // SAFETY: the raw call takes the kernel's 8-byte set, a local; umask takes a number.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &none, std::ptr::null::<u64>(), 8);
        libc::umask(0o022);
    }
    if child.spec.process.init.is_some() {
        child.at(Step::Init);
        let (empty, argv, env) = (c"".as_ptr(), child.argv.as_ptr(), child.env.as_ptr());
        // SAFETY: the empty path names the descriptor; the arrays of strings end in null.
        unsafe { libc::syscall(libc::SYS_execveat, INIT_FD, empty, argv, env, libc::AT_EMPTY_PATH) };
        return errno();
    }
    let mut worst = libc::ENOENT;
    for program in &child.spec.process.programs {
        // SAFETY: all three are terminated: a string, and arrays of strings that end in null.
        unsafe { libc::syscall(libc::SYS_execve, program.as_ptr(), child.argv.as_ptr(), child.env.as_ptr()) };
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => worst = libc::EACCES,
            other => return other,
        }
    }
    worst
}
