//! Settings of network namespaces (`/proc/sys/net`), written through separate proc mounts.
//!
//! The kernel keeps an entry of each opened setting for each namespace, all under one name in one
//! hash chain, so that finding the next one takes longer the more namespaces exist
//! (proc_sys_compare, fs/proc/proc_sysctl.c). Another proc mount has other chains: a mount that has
//! served a number of namespaces is replaced.

use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use crate::calls::{new_mount, open};
use crate::mount_attributes::DATA_ONLY;

/// Namespaces that one mount serves. Creating one takes the kernel about as long as finding a
/// setting among some hundreds of namespaces.
const NAMESPACES_MAX: u32 = 64;

/// The mount in use.
pub struct NetworkSettings(Mutex<Current>);

struct Current {
    proc: Arc<OwnedFd>,
    namespaces: u32,
}

impl NetworkSettings {
    /// Creates the first mount.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Current { proc: Arc::new(proc()?), namespaces: 0 })))
    }

    /// Writes settings of the calling thread's network namespace: paths below `/proc`, and values.
    pub fn write(&self, settings: &[(&CStr, &str)]) -> io::Result<()> {
        let proc = self.next()?;
        for (path, value) in settings {
            let fd = open(proc.as_raw_fd(), path, libc::O_WRONLY | libc::O_CLOEXEC, 0);
            // SAFETY: the descriptor is new and has no other owner.
            let fd = unsafe { OwnedFd::from_raw_fd(fd.map_err(io::Error::from_raw_os_error)?) };
            std::fs::File::from(fd).write_all(value.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the mount for one more namespace. A replaced mount is removed after its last use.
    fn next(&self) -> io::Result<Arc<OwnedFd>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if current.namespaces < NAMESPACES_MAX {
            None
        } else {
            current.namespaces = 0;
            Some(std::mem::replace(&mut current.proc, Arc::new(proc()?)))
        };
        current.namespaces += 1;
        let proc = current.proc.clone();
        // The kernel unmounts it, which must not hold the lock.
        drop(current);
        drop(before);
        Ok(proc)
    }
}

/// A detached mount; its `sys/net` is that of the thread that opens it.
fn proc() -> io::Result<OwnedFd> {
    let fd = new_mount(c"proc", None, DATA_ONLY).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::namespace::{current_network, new_network};

    /// Needs root.
    #[test]
    fn privileged_each_namespace_gets_its_settings_and_mounts_are_replaced() {
        let home = current_network().expect("it has one");
        let settings = NetworkSettings::new().expect("mounted");
        let current = || Arc::as_ptr(&settings.0.lock().expect("not poisoned").proc);
        let (file, path) =
            ("/proc/sys/net/ipv4/ip_unprivileged_port_start", c"sys/net/ipv4/ip_unprivileged_port_start");
        let before = std::fs::read_to_string(file).expect("there");
        let first = current();
        for number in 1..=NAMESPACES_MAX + 1 {
            let port = number.to_string();
            new_network(home.as_fd(), || {
                settings.write(&[(path, &port)])?;
                assert_eq!(std::fs::read_to_string(file)?.trim(), port);
                Ok(())
            })
            .expect("made");
            assert_eq!(current() == first, number <= NAMESPACES_MAX, "after {number}");
        }
        assert_eq!(std::fs::read_to_string(file).expect("there"), before, "the machine's own");
        let failed = settings.write(&[(c"sys/net/ipv4/none", "1")]).expect_err("there is none");
        assert_eq!(failed.kind(), io::ErrorKind::NotFound);
    }
}
