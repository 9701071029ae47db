//! User namespaces, held by a descriptor. A child that is not root makes them, so that the kernel
//! accounts resources used inside to a host id of the instance.

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

/// Ids `inside..inside + count` of a user namespace, which are `outside..outside + count` of this
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first inside.
    pub inside: u32,
    /// The first outside.
    pub outside: u32,
    /// How many they are.
    pub count: u32,
}

/// A user namespace that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct UserNamespace<'a> {
    /// The id outside that is its owner. What the kernel counts by user (`struct ucounts`: inotify,
    /// message queues, pending signals, timers, locked memory) it counts for the user inside and,
    /// for all users inside together, for this one.
    pub owner: u32,
    /// Its users.
    pub users: &'a [IdRange],
    /// Its groups.
    pub groups: &'a [IdRange],
    /// Resources and how much of each all users inside may have together, of those that the kernel
    /// counts by user: it takes the limits of whoever makes the namespace for that.
    pub limits: &'a [(u32, u64)],
}

impl UserNamespace<'_> {
    /// Makes it.
    ///
    /// The kernel lets only another process with privileges outside write the maps, so a child
    /// holds the namespace open until they are written. It shares our memory and descriptors: a
    /// copy of the first would take a millisecond, and every page that we write to next a fault,
    /// which the requests that follow would pay for.
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
            // The kernel takes a map in one write, and only once.
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

/// Values of [`Shared::state`]: the child has started, the child holds the namespace. The kernel
/// writes 0 when it ends.
const PREPARING: u32 = 1;
const HOLDING: u32 = 2;

/// What the child reads and writes.
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
    /// Waits until the child holds the namespace and takes it, or until the child has ended.
    fn wait(&self) -> io::Result<OwnedFd> {
        while self.state.load(Ordering::Acquire) == PREPARING {
            let forever = std::ptr::null::<libc::timespec>();
            // SAFETY: the futex is a local of our caller's; the call returns when its value is
            // another or it is woken.
            unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), libc::FUTEX_WAIT, PREPARING, forever) };
        }
        match self.namespace.load(Ordering::Relaxed) {
            ..0 => Err(io::Error::from_raw_os_error(self.errno.load(Ordering::Relaxed))),
            // SAFETY: the child has just opened it for us, and nothing else has it.
            number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        }
    }
}

/// A child that holds a namespace open; dropping this ends it.
struct Holder(OwnedFd);

impl Drop for Holder {
    fn drop(&mut self) {
        // It is our child, which waits in pause: both calls can only fail if it is already gone.
        process::send_signal(&self.0, libc::SIGKILL).ok();
        process::wait(&self.0).ok();
    }
}

/// Starts the child. What it shares with the parent must outlive the holder.
fn start(shared: &Shared<'_>, stack: &mut Stack) -> io::Result<(Holder, libc::pid_t)> {
    let (base, size) = stack.range();
    let mut pidfd: libc::c_int = -1;
    let args = Args {
        // Not CLONE_VFORK: the parent continues while the child waits on its own stack.
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
    // SAFETY: the stack is ours alone (`&mut`), and `shared` outlives the child, which the caller
    // waits for by dropping the holder. `hold` makes system calls only and never returns; `errno`,
    // which it has in common with this thread, is not looked at here while it may fail. The kernel
    // writes the futex of `shared` when the child ends.
    let pid = unsafe { clone3(&args, hold, argument) };
    drop(blocked);
    let pid = pid?;
    // SAFETY: CLONE_PIDFD stored a new descriptor, and nothing else has it.
    Ok((Holder(unsafe { OwnedFd::from_raw_fd(pidfd) }), pid))
}

extern "C" fn hold(argument: *mut c_void) -> ! {
    // SAFETY: the parent passes a pointer to its `Shared`, which stays there until we have ended.
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

/// Changes only the effective id to the owner's: with a real id other than root's the kernel would
/// also apply the process limit (`RLIMIT_NPROC`) to the namespace. Keeps CAP_SYS_ADMIN, which some
/// distributions require for making user namespaces.
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
    // Nobody else may: a process of another user's namespace is looked at by privileged ones only.
    open(libc::AT_FDCWD, c"/proc/self/ns/user", libc::O_RDONLY | libc::O_CLOEXEC, 0)
}

/// Ends the child if the parent is killed. The signal is only sent for deaths after this call, so
/// check for an earlier one; and this must come after changes of credentials, which reset it.
fn end_with(parent: i32) -> Done {
    // SAFETY: both calls take numbers.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0).into())?;
        if libc::getppid() == parent { Ok(()) } else { Err(libc::ESRCH) }
    }
}
