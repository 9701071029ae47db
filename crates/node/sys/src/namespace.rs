//! Namespaces as file descriptors: made ahead of time, entered for the length of one call, handed to a child.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::calls::{Done, check, close, mount, move_mount, new_mount, open};
use crate::clone::{Args, CLEAR_SIGHAND, clone3};
use crate::mount::{DATA_ONLY, READ_ONLY};
use crate::process;
use crate::signals::BlockedSignals;
use crate::stack::Stack;

/// The network namespace of the calling thread.
pub fn current_network() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}

/// Makes a network namespace with its loopback up, runs `prepare` inside it, and returns to `home`.
pub fn new_network(home: BorrowedFd<'_>, prepare: impl FnOnce() -> io::Result<()>) -> io::Result<OwnedFd> {
    // SAFETY: unshare(CLONE_NEWNET) changes this thread's network namespace only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let _back = Back { home };
    let made = current_network()?;
    loopback_up()?;
    prepare()?;
    Ok(made)
}

/// Makes a mount namespace with nothing but an empty directory, which cannot be written. It is built on `point`, an empty
/// directory of the caller's, where nothing is seen of it.
///
/// A copy of it is made in microseconds however many mounts the machine has, and leads to none of them.
pub fn new_bare_mounts(point: &CStr) -> io::Result<OwnedFd> {
    // A thread of its own: it never returns to the machine's files.
    std::thread::scope(|scope| {
        let made =
            std::thread::Builder::new().name("bare-mounts".to_owned()).spawn_scoped(scope, || bare_mounts(point));
        made?.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    })
}

fn bare_mounts(point: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: unshare takes flags, and changes the namespace and directories of this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // While there is a /proc.
    let made = File::open("/proc/thread-self/ns/mnt")?;
    become_bare(point).map_err(io::Error::from_raw_os_error)?;
    Ok(made.into())
}

fn become_bare(point: &CStr) -> Done {
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    let empty = new_mount(c"tmpfs", Some(c"mode=755,size=4k,nr_inodes=1"), READ_ONLY | DATA_ONLY)?;
    let moved = open(libc::AT_FDCWD, point, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0).and_then(|target| {
        let moved = move_mount(empty, target);
        close(target);
        moved
    });
    let changed = moved.and_then(|()| change_root(empty));
    close(empty);
    changed
}

/// Makes an attached mount the root of the calling thread's mount namespace, and the only one in it.
fn change_root(root: RawFd) -> Done {
    // SAFETY: the descriptor is a directory; the strings are constants. The old root is stacked under the new one and
    // detached, after which no path leads to it.
    unsafe {
        check(libc::fchdir(root).into())?;
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into())
    }
}

/// Runs `work` with the calling thread inside `network`, then returns to `home`. The work must not wait on other tasks of
/// the thread: they would run in the wrong namespace.
pub fn in_network<T>(
    network: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    enter_network(network)?;
    let _back = Back { home };
    work()
}

/// Returns to the home namespace however the work ends.
struct Back<'a> {
    home: BorrowedFd<'a>,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if enter_network(self.home).is_err() {
            // A thread stuck in an instance's network would serve the host's requests from inside it.
            std::process::abort();
        }
    }
}

fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all bytes zero is a valid ifreq: an empty name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes_with_nul()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq with a terminated name, which outlives the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Ids `inside..inside + count` of a user namespace, which are `outside..outside + count` of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first inside.
    pub inside: u32,
    /// The first outside.
    pub outside: u32,
    /// How many they are.
    pub count: u32,
}

/// Makes a user namespace of these users and groups.
///
/// The kernel lets only another process with privileges outside write the maps, so a child holds the namespace open until
/// they are written. It shares our memory: a copy would take a millisecond, and every page that we write to next a fault,
/// which the requests that follow would pay for.
pub fn new_user(users: &[IdRange], groups: &[IdRange], stack: &mut Stack) -> io::Result<OwnedFd> {
    let (base, size) = stack.range();
    let mut pidfd: libc::c_int = -1;
    let args = Args {
        // Not CLONE_VFORK: we go on while the child waits, on a stack that is its own.
        flags: (libc::CLONE_NEWUSER | libc::CLONE_VM | libc::CLONE_PIDFD) as u64 | CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: base,
        stack_size: size,
        ..Args::default()
    };
    let mut us = i32::try_from(std::process::id()).unwrap_or_default();
    let blocked = BlockedSignals::all();
    // SAFETY: the stack is ours alone (`&mut`), and `us` is a local; both outlive the child, which is waited for below however
    // this function ends. `hold` makes system calls only, none of which fails and sets our thread's `errno`, and never
    // returns.
    let pid = unsafe { clone3(&args, hold, (&raw mut us).cast::<c_void>()) };
    drop(blocked);
    let pid = pid?;
    // SAFETY: CLONE_PIDFD stored a new descriptor, and nothing else has it.
    let child = Holder(unsafe { OwnedFd::from_raw_fd(pidfd) });
    // The kernel takes a map in one write, and only once.
    std::fs::write(format!("/proc/{pid}/uid_map"), map(users))?;
    std::fs::write(format!("/proc/{pid}/gid_map"), map(groups))?;
    let made = File::open(format!("/proc/{pid}/ns/user"))?;
    drop(child);
    Ok(made.into())
}

fn map(ranges: &[IdRange]) -> String {
    ranges.iter().map(|IdRange { inside, outside, count }| format!("{inside} {outside} {count}\n")).collect()
}

/// A child that only holds a namespace open; it ends with this.
struct Holder(OwnedFd);

impl Drop for Holder {
    fn drop(&mut self) {
        // It is our child and waits in pause: both calls can only fail if it is already gone.
        process::send_signal(&self.0, libc::SIGKILL).ok();
        process::wait(&self.0).ok();
    }
}

extern "C" fn hold(parent: *mut c_void) -> ! {
    // SAFETY: the argument points to the parent's pid, which stays there until we have ended; the calls take numbers only.
    unsafe {
        // Should the parent be killed meanwhile, nobody else would end us. The signal only comes for a later death, so
        // an earlier one is asked for.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if libc::getppid() != *parent.cast::<i32>() {
            libc::_exit(0);
        }
        loop {
            libc::syscall(libc::SYS_pause);
        }
    }
}
