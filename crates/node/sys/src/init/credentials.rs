//! From the host's root to the image's user: drops privileges in an order in which each step is
//! still permitted.

use std::os::fd::RawFd;

use super::INIT_FD;
use super::child_state::Child;
use super::join::end_with_platform;
use super::spec::InitSpec;
use super::step::Step;
use crate::calls::{Done, check, errno};
use crate::capability;

/// Upper bound of capability numbers in any kernel.
const CAPABILITIES: u32 = 64;

/// Drops privileges from the host's root to the image's user, in an order in which each step is
/// still permitted.
pub(super) fn give_up_rights(child: &mut Child<'_>) -> Done {
    let spec = child.spec;
    child.at(Step::NoNewPrivileges);
    // SAFETY: prctl with numbers touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    // While this is root outside too: the kernel then compiles its filters regardless of the memory
    // that others use (net.core.bpf_jit_limit). The filter must allow all later calls.
    child.at(Step::Seccomp);
    seccomp(spec)?;
    child.at(Step::JoinUser);
    // SAFETY: setns takes an open descriptor; this process has one thread and its own memory view
    // of namespaces.
    check(unsafe { libc::setns(child.fds.user, libc::CLONE_NEWUSER) }.into())?;
    child.at(Step::Capabilities);
    drop_bounding(spec.credentials.capabilities)?;
    child.at(Step::Identity);
    identity(spec)?;
    child.at(Step::Capabilities);
    // Root keeps the listed ones; any other user lost all of them with the change of user.
    capability::set(if spec.credentials.uid == 0 { spec.credentials.capabilities } else { 0 })?;
    // The changes of credentials above have cleared it.
    end_with_platform(child)?;
    // Closed now and not only by close-on-exec: the program's path could lead through
    // `/proc/self/fd` to one of them.
    close_all(child.fds.init)?;
    limit(child)
}

/// Only after closing: the copy of the platform's descriptors may exceed the program's limit, and
/// none could be opened.
pub(super) fn limit(child: &mut Child<'_>) -> Done {
    child.at(Step::Limits);
    for (resource, soft, hard) in &child.spec.process.rlimits {
        let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
        // SAFETY: the structure is a local; 0 is this process.
        check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, *resource, &limit, std::ptr::null::<libc::rlimit>()) })?;
    }
    Ok(())
}

/// Closes all descriptors but input, output and the one of the init program, which moves to
/// [`INIT_FD`].
pub(super) fn close_all(init: Option<RawFd>) -> Done {
    if let Some(init) = init.filter(|number| *number != INIT_FD) {
        // SAFETY: both are descriptors of this process's own table, whose others are not needed any
        // more.
        check(unsafe { libc::dup3(init, INIT_FD, libc::O_CLOEXEC) }.into())?;
    }
    let first = if init.is_some() { INIT_FD + 1 } else { INIT_FD };
    // SAFETY: close_range closes descriptors of this process only (the table is its own).
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

fn identity(spec: &InitSpec) -> Done {
    // The C library's wrappers would change every thread of the parent; the raw calls change this
    // process. SAFETY: the list's pointer and length belong together; the others take numbers.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, spec.credentials.groups.len(), spec.credentials.groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, spec.credentials.gid, spec.credentials.gid, spec.credentials.gid))?;
        check(libc::syscall(libc::SYS_setresuid, spec.credentials.uid, spec.credentials.uid, spec.credentials.uid))
    }
}

/// Joining a user namespace grants every capability and a full bounding set there, so the set is
/// reduced only now.
fn drop_bounding(keep: u64) -> Done {
    for capability in (0..CAPABILITIES).filter(|c| keep & (1 << c) == 0) {
        // SAFETY: prctl with numbers touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            // Numbers beyond the kernel's last capability fail and end the loop.
            return if errno() == libc::EINVAL { Ok(()) } else { Err(errno()) };
        }
    }
    Ok(())
}

fn seccomp(spec: &InitSpec) -> Done {
    let program = libc::sock_fprog {
        len: u16::try_from(spec.credentials.seccomp.len()).unwrap_or(u16::MAX),
        filter: spec.credentials.seccomp.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `sock_filter` is 8 bytes laid out as the spec's words, `len` of them; the kernel
    // copies the program.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) })
}
