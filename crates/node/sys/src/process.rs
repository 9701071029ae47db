//! Processes by pidfd: signals and waiting without the races of pids.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with a code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// Sends a signal (`pidfd_send_signal(2)`), including real-time signals; fails with `InvalidInput`
/// for an invalid number.
pub fn send_signal(process: &impl AsFd, signal: i32) -> io::Result<()> {
    let (process, no_info) = (process.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: the descriptor is open for the call; without a siginfo the kernel fills in one as
    // kill(2) does.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, signal, no_info, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens a process by pid (`pidfd_open(2)`); the caller must check afterwards that it is still the
/// intended one.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Protects the platform's memory, which contains the keys of the installation, from being dumped
/// or traced by unprivileged processes: when a child that shares the memory changes its
/// credentials, the kernel resets this flag to `fs.suid_dumpable`. Access of a process to its own
/// `/proc/self` does not depend on it.
pub(crate) fn stay_undumpable() {
    // SAFETY: prctl(PR_SET_DUMPABLE) takes a number and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Waits for the end of a child and reaps it (`waitid(2)` with `P_PIDFD`).
pub fn wait(child: &impl AsFd) -> io::Result<Ended> {
    let id = WaitId::PidFd(child.as_fd());
    let status = rustix::io::retry_on_intr(|| rustix::process::waitid(id.clone(), WaitIdOptions::EXITED))?;
    let status = status.ok_or(io::ErrorKind::NotFound)?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(Ended::Code(code)),
        (None, Some(signal)) => Ok(Ended::Signal(signal)),
        (None, None) => Err(io::ErrorKind::InvalidData.into()),
    }
}
