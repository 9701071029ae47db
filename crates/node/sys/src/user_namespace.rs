//! User namespaces: created by a child without root's id, so that the kernel accounts resources
//! used inside to an id of the instance, and held by a descriptor.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::calls::{Done, check, open};
use crate::capability;
use crate::clone::{Args, CLEAR_SIGHAND, clone3};
use crate::process;
use crate::signals::BlockedSignals;
use crate::stack::Stack;

/// Ids `inside..inside + count` of a user namespace, which map to `outside..outside + count` of
/// this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// Number of ids.
    pub count: u32,
}

/// A user namespace to create.
#[derive(Debug, Clone, Copy)]
pub struct UserNamespace<'a> {
    /// Its owner's id outside. Resources that the kernel counts by user (`struct ucounts`: inotify,
    /// message queues, pending signals, timers, locked memory) are counted for the user inside and,
    /// for all users inside together, for this one.
    pub owner: u32,
    /// Map of users.
    pub users: &'a [IdRange],
    /// Map of groups.
    pub groups: &'a [IdRange],
    /// Limits of resources that the kernel counts by user, for all users inside together: the
    /// kernel takes them from the creator's limits.
    pub limits: &'a [(u32, u64)],
}

impl UserNamespace<'_> {
    /// Creates the namespace.
    ///
    /// The kernel lets only another process with privileges outside write the maps, so a child
    /// holds the namespace open until they are written. It shares this process's memory and
    /// descriptors: copying the memory would take a millisecond and cause a fault for each page
    /// written afterwards, which would slow the following requests.
    pub fn make(&self, stack: &mut Stack) -> io::Result<OwnedFd> {
        let shared = Shared {
            parent: i32::try_from(std::process::id()).unwrap_or_default(),
            owner: self.owner,
            limits: self.limits,
            state: AtomicU32::new(PREPARING),
            namespace: AtomicI32::new(-1),
            errno: AtomicI32::new(0),
        };
        let (holder, pid) = start(&shared, stack)?;
        let made = shared.wait().and_then(|namespace| {
            // The kernel accepts a map in one write, and only once.
            fs::write(format!("/proc/{pid}/uid_map"), map(self.users))?;
            fs::write(format!("/proc/{pid}/gid_map"), map(self.groups))?;
            Ok(namespace)
        });
        drop(holder);
        process::stay_undumpable();
        made
    }
}

fn map(ranges: &[IdRange]) -> String {
    ranges.iter().map(|IdRange { inside, outside, count }| format!("{inside} {outside} {count}\n")).collect()
}

/// Values of [`Shared::state`]: the child is still preparing, or holds the namespace. The kernel
/// writes 0 when the child ends.
const PREPARING: u32 = 1;
const HOLDING: u32 = 2;

/// State shared with the child.
struct Shared<'a> {
    parent: i32,
    owner: u32,
    limits: &'a [(u32, u64)],
    /// A futex.
    state: AtomicU32,
    /// The namespace's descriptor, in the shared table.
    namespace: AtomicI32,
    errno: AtomicI32,
}

impl Shared<'_> {
    /// Waits until the child holds the namespace, and takes it; fails if the child ends before.
    fn wait(&self) -> io::Result<OwnedFd> {
        while self.state.load(Ordering::Acquire) == PREPARING {
            let forever = std::ptr::null::<libc::timespec>();
            // SAFETY: the futex is a local of the caller; the call returns when its value differs
            // or it is woken.
            unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), libc::FUTEX_WAIT, PREPARING, forever) };
        }
        match self.namespace.load(Ordering::Relaxed) {
            ..0 => Err(io::Error::from_raw_os_error(self.errno.load(Ordering::Relaxed))),
            // SAFETY: the child has just opened the descriptor for this process, and it has no
            // other owner.
            number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        }
    }
}

/// A child that only holds a namespace open; it ends when this is dropped.
struct Holder(OwnedFd);

impl Drop for Holder {
    fn drop(&mut self) {
        // The child waits in pause(2): both calls can only fail if it has ended already.
        process::send_signal(&self.0, libc::SIGKILL).ok();
        process::wait(&self.0).ok();
    }
}

/// Starts the child. `shared` must stay until the holder is dropped.
fn start(shared: &Shared<'_>, stack: &mut Stack) -> io::Result<(Holder, libc::pid_t)> {
    let (base, size) = stack.range();
    let mut pidfd: libc::c_int = -1;
    let args = Args {
        // Not CLONE_VFORK: the parent continues while the child waits, on a stack of its own.
        flags: (libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID) as u64
            | CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        child_tid: shared.state.as_ptr() as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: base,
        stack_size: size,
        ..Args::default()
    };
    let blocked = BlockedSignals::all();
    let argument = std::ptr::from_ref(shared).cast_mut().cast::<c_void>();
    // SAFETY: the stack is exclusive (`&mut`), and `shared` outlives the child, which the caller
    // waits for by dropping the holder. `hold` makes system calls only and never returns; `errno`,
    // which it shares with this thread, is not read here while it may fail. The kernel writes the
    // futex of `shared` when the child ends.
    let pid = unsafe { clone3(&args, hold, argument) };
    drop(blocked);
    let pid = pid?;
    // SAFETY: CLONE_PIDFD stored a new descriptor, which has no other owner.
    Ok((Holder(unsafe { OwnedFd::from_raw_fd(pidfd) }), pid))
}

extern "C" fn hold(argument: *mut c_void) -> ! {
    // SAFETY: the parent passes a pointer to its `Shared`, which stays there until this process has
    // ended.
    let shared = unsafe { &*argument.cast::<Shared<'_>>() };
    match prepare(shared) {
        Ok(namespace) => shared.namespace.store(namespace, Ordering::Relaxed),
        Err(errno) => {
            shared.errno.store(errno, Ordering::Relaxed);
            // SAFETY: _exit ends this process only; the kernel then wakes the parent.
            unsafe { libc::_exit(1) };
        }
    }
    shared.state.store(HOLDING, Ordering::Release);
    // SAFETY: the futex is in `shared`; the other calls take nothing.
    unsafe {
        libc::syscall(libc::SYS_futex, shared.state.as_ptr(), libc::FUTEX_WAKE, 1);
        loop {
            libc::syscall(libc::SYS_pause);
        }
    }
}

/// Becomes the owner by its effective id alone: with a real id other than root's the kernel would
/// apply its limit of processes (`RLIMIT_NPROC`) to the namespace too. CAP_SYS_ADMIN stays, which
/// some distributions require for creating one.
fn prepare(shared: &Shared<'_>) -> Result<RawFd, i32> {
    const SAME: u32 = u32::MAX;
    for (resource, most) in shared.limits {
        let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
        // SAFETY: the structure is a local; 0 is this process, whose limits are its own (no
        // CLONE_THREAD).
        check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, *resource, &limit, std::ptr::null::<libc::rlimit>()) })?;
    }
    // SAFETY: the raw call takes numbers and changes this process only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, SAME, shared.owner, SAME) })?;
    capability::set(1 << capability::SYS_ADMIN)?;
    // SAFETY: unshare takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())?;
    end_with(shared.parent)?;
    // Opened here: opening another user namespace's process requires privileges.
    open(libc::AT_FDCWD, c"/proc/self/ns/user", libc::O_RDONLY | libc::O_CLOEXEC, 0)
}

/// Ends the child if the parent is killed meanwhile. The signal is only sent for a later death, so
/// an earlier one is checked for; and every change of credentials before would have cleared it.
fn end_with(parent: i32) -> Done {
    // SAFETY: both calls take numbers.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into())?;
        if libc::getppid() == parent { Ok(()) } else { Err(libc::ESRCH) }
    }
}
