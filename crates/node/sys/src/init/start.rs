//! `clone3` of one init, which shares the parent's memory until `execve` (`CLONE_VM |
//! CLONE_VFORK`): that costs microseconds whatever the parent's size.

use std::ffi::{CString, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::child_state::Child;
use super::entry;
use super::fds::InheritedFds;
use super::spec::InitSpec;
use super::step::{Failure, Step};
use crate::clone::{Args, CLEAR_SIGHAND, INTO_CGROUP, clone3};
use crate::reserved_fds::ReservedFds;
use crate::signals::BlockedSignals;
use crate::stack::Stack;

/// A started process.
pub struct Spawned {
    /// Its pid in the parent's pid namespace.
    pub pid: i32,
    /// Its pidfd; readable when it has ended.
    pub pidfd: OwnedFd,
}

/// Starts a process as described by `spec`; returns when it executes its program, or with the
/// failed step.
pub fn start(spec: &InitSpec, stack: &mut Stack, reserved: &mut ReservedFds) -> Result<Spawned, Failure> {
    let pointers =
        |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let mut fds = InheritedFds::of(spec);
    let moved = reserved.move_in(fds.each()).map_err(|source| Failure { step: Step::Files, source })?;
    let mut child = Child {
        argv: pointers(&spec.process.argv),
        env: pointers(&spec.process.env),
        spec,
        fds,
        fds_above: moved.above(),
        step: Step::Clone,
        errno: 0,
    };
    let (base, size) = stack.range();
    // An OCI runtime needs the host's mounts around it; other instances start with none.
    let mounts = if spec.oci_runtime.is_some() { libc::CLONE_NEWNS } else { 0 };
    let namespaces = mounts | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let ours = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let mut pidfd: libc::c_int = -1;
    let mut args = Args {
        flags: (namespaces | ours) as u64 | CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: base,
        stack_size: size,
        ..Args::default()
    };
    if child.fds_above.is_some() {
        args.flags |= libc::CLONE_FILES as u64;
    }
    if let Some(cgroup) = &spec.cgroup.v2_directory {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    }
    let blocked = BlockedSignals::all();
    // SAFETY: the stack is exclusive (`&mut`), `child` and the spec outlive the call, which returns
    // only after the child has executed or ended (CLONE_VFORK); `entry::run` makes system calls
    // only.
    let started = unsafe { clone3(&args, entry::run, (&raw mut child).cast::<c_void>()) };
    drop(blocked);
    crate::process::stay_undumpable();
    let pid = started.map_err(|source| Failure { step: Step::Clone, source })?;
    // SAFETY: CLONE_PIDFD stored a new descriptor, which has no other owner.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if child.errno != 0 {
        // It has ended after the error; reaping it leaves no zombie.
        crate::process::wait(&pidfd).ok();
        return Err(Failure { step: child.step, source: io::Error::from_raw_os_error(child.errno) });
    }
    Ok(Spawned { pid, pidfd })
}
