//! Settings of network namespaces (`/proc/sys/net`), written through file systems of our own.
//!
//! The kernel keeps an entry of each setting that was opened in each namespace there is, all under
//! one name in one hash chain, so that finding the next one takes longer the more namespaces there
//! are (proc_sys_compare, fs/proc/proc_sysctl.c). The chains of another mount of proc are others:
//! one that has served a number of namespaces is replaced.

use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use crate::calls::{new_mount, open};
use crate::mount_attributes::DATA_ONLY;

/// Namespaces that one mount serves. Making one takes the kernel about as long as finding a setting
/// among some hundreds of namespaces.
const NAMESPACES_MAX: u32 = 64;

/// The mount in use.
pub struct NetworkSettings(Mutex<Current>);

struct Current {
    proc: Arc<OwnedFd>,
    namespaces: u32,
}

impl NetworkSettings {
    /// Mounts the first one.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Current { proc: Arc::new(proc()?), namespaces: 0 })))
    }

    /// Writes settings of the calling thread's network namespace: paths below `/proc`, and values.
    pub fn write(&self, settings: &[(&CStr, &str)]) -> io::Result<()> {
        let proc = self.next()?;
        for (path, value) in settings {
            let fd = open(proc.as_raw_fd(), path, libc::O_WRONLY | libc::O_CLOEXEC, 0);
            // SAFETY: the descriptor was just made, and nothing else has it.
            let fd = unsafe { OwnedFd::from_raw_fd(fd.map_err(io::Error::from_raw_os_error)?) };
            std::fs::File::from(fd).write_all(value.as_bytes())?;
        }
        Ok(())
    }

    /// The mount for one more namespace. One that is replaced goes when its last user is done.
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
        // The kernel unmounts it, which nobody else is to wait for.
        drop(current);
        drop(before);
        Ok(proc)
    }
}

/// Detached; its `sys/net` is that of whoever opens it.
fn proc() -> io::Result<OwnedFd> {
    let fd = new_mount(c"proc", None, DATA_ONLY).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor was just made, and nothing else has it.
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
