//! Namespaces as file descriptors: created ahead of time, entered for the length of one call,
//! passed to a child.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::calls::{Done, check, close, mount, move_mount, new_mount, open};
use crate::mount_attributes::{DATA_ONLY, READ_ONLY};
pub use crate::user_namespace::{IdRange, UserNamespace};

/// The network namespace of the calling thread.
pub fn current_network() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}

/// Creates a network namespace with its loopback up, runs `prepare` inside it, and returns to
/// `home`.
pub fn new_network(home: BorrowedFd<'_>, prepare: impl FnOnce() -> io::Result<()>) -> io::Result<OwnedFd> {
    make_network(home, |_| prepare())
}

/// A network namespace under construction, with the calling thread inside.
pub struct NewNetwork {
    namespace: OwnedFd,
    socket: OwnedFd,
}

impl NewNetwork {
    /// The namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// A socket to its links, addresses and routes (rtnetlink(7)), on which nothing was sent yet.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The same, with the value that `prepare` returns.
pub fn make_network(home: BorrowedFd<'_>, prepare: impl FnOnce(&NewNetwork) -> io::Result<()>) -> io::Result<OwnedFd> {
    // SAFETY: unshare(CLONE_NEWNET) changes this thread's network namespace only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let _back = Back { home };
    let namespace = current_network()?;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    loopback_up(socket.as_fd())?;
    let made = NewNetwork { namespace, socket };
    prepare(&made)?;
    Ok(made.namespace)
}

/// Creates a mount namespace with only an empty read-only directory. It is built on `point`, an
/// empty directory of the caller, where it is not visible.
///
/// Copying it takes microseconds however many mounts the machine has, and a copy leads to none of
/// them.
pub fn new_bare_mounts(point: &CStr) -> io::Result<OwnedFd> {
    // A thread of its own, because it never returns to the machine's files.
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
    // While `/proc` is still mounted.
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

/// Makes an attached mount the root of the calling thread's mount namespace, and its only mount.
fn change_root(root: RawFd) -> Done {
    // SAFETY: the descriptor is a directory; the strings are constants. The old root is stacked
    // under the new one and detached, after which no path leads to it.
    unsafe {
        check(libc::fchdir(root).into())?;
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH).into())?;
        check(libc::chdir(c"/".as_ptr()).into())
    }
}

/// Runs `work` with the calling thread inside `network`, then returns to `home`. The work must not
/// wait on other tasks of the thread: they would run in the wrong namespace.
pub fn in_network<T>(
    network: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    enter_network(network)?;
    let _back = Back { home };
    work()
}

/// Returns to the home namespace, even on a panic.
struct Back<'a> {
    home: BorrowedFd<'a>,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if enter_network(self.home).is_err() {
            // A thread stuck in an instance's network would serve the host's requests from inside
            // it.
            std::process::abort();
        }
    }
}

fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Requests about links are accepted on any socket (netdevice(7)).
fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
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
