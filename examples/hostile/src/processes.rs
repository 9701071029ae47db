//! Visibility of processes, and signals to them.

use std::fs;
use std::io::Error;
use std::time::Duration;

use crate::files::number;

/// All process ids in `/proc`, one per line.
pub fn all() -> String {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.to_str().and_then(|name| name.parse::<u32>().ok()));
    names.map(|id| format!("{id}\n")).collect()
}

/// Whether a process can be signalled.
pub fn signal(id: &str) -> String {
    let id = id.parse().unwrap_or(0);
    // SAFETY: numbers only; signal 0 checks without sending.
    let sent = unsafe { libc::kill(id, 0) };
    if sent == 0 { "0".to_owned() } else { number(&Error::last_os_error()).to_string() }
}

/// Sleeps for this many milliseconds.
pub fn sleep(ms: &str) -> String {
    std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or(0)));
    "slept".to_owned()
}

/// Kills a child with a signal that dumps core; returns whether one was dumped.
pub fn abort() -> String {
    // SAFETY: the child calls only async-signal-safe functions after the fork; the status is a
    // local.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::signal(libc::SIGABRT, libc::SIG_DFL);
            libc::abort();
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        format!("signal {} core {}", libc::WTERMSIG(status), libc::WCOREDUMP(status))
    }
}
