//! A thread in another mount namespace than the machine's, to create file systems that the kernel
//! treats differently there: a devpts that is created in the machine's initial one may use up the
//! terminals that the kernel reserves for the machine (`kernel.pty.reserve`; fs/devpts/inode.c).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::calls::new_mount;

/// A file system to create, and the reply channel.
struct Request {
    options: CString,
    attributes: u64,
    reply: SyncSender<io::Result<OwnedFd>>,
}

/// Queued requests; further callers block.
const REQUESTS_MAX: usize = 16;

/// The thread; it ends when this is dropped.
pub struct MountThread {
    requests: SyncSender<Request>,
}

impl MountThread {
    /// Starts the thread in a mount namespace.
    pub fn start(namespace: OwnedFd) -> io::Result<Self> {
        let (requests, received) = sync_channel(REQUESTS_MAX);
        let (entered, outcome) = sync_channel(1);
        let run = move || {
            let inside = enter(&namespace);
            let go_on = inside.is_ok();
            // The caller waits for it.
            entered.send(inside).ok();
            if go_on {
                serve(&received);
            }
        };
        std::thread::Builder::new().name("mounts".to_owned()).spawn(run)?;
        outcome.recv().map_err(|_| gone())??;
        Ok(Self { requests })
    }

    /// Creates a detached devpts on the thread.
    pub(crate) fn devpts(&self, options: CString, attributes: u64) -> io::Result<OwnedFd> {
        let (reply, made) = sync_channel(1);
        self.requests.send(Request { options, attributes, reply }).map_err(|_| gone())?;
        made.recv().map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that makes mounts has ended")
}

/// Enters the namespace permanently: the thread unshares its directories, which no longer lead to
/// the machine's.
fn enter(namespace: &OwnedFd) -> io::Result<()> {
    // SAFETY: both calls take numbers and an open descriptor, and change this thread only.
    let entered =
        unsafe { libc::unshare(libc::CLONE_FS) == 0 && libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) == 0 };
    if entered { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn serve(requests: &Receiver<Request>) {
    while let Ok(Request { options, attributes, reply }) = requests.recv() {
        let made = new_mount(c"devpts", Some(&options), attributes).map_err(io::Error::from_raw_os_error);
        // SAFETY: the descriptor is new and has no other owner.
        let made = made.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
        // The receiver may be gone.
        reply.send(made).ok();
    }
}
