//! Attacks through shared directories: links, devices, set-id programs, locks, watches, and
//! directories that exchange places.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::files::number;

const MB: usize = 1 << 20;
/// Longest wait for an event of a watch.
const WATCH_MS_MAX: i32 = 60_000;

/// The error number, 0 for success.
fn outcome<T>(done: Result<T, Error>) -> String {
    done.map_or_else(|error| number(&error), |_| 0).to_string()
}

/// `path:text` writes a file.
pub fn put(query: &str) -> String {
    let (path, text) = query.split_once(':').unwrap_or((query, ""));
    outcome(fs::write(path, text))
}

/// `path:target` creates a symbolic link.
pub fn link(query: &str) -> String {
    let (path, target) = query.split_once(':').unwrap_or((query, ""));
    outcome(symlink(target, path))
}

/// Creates a directory.
pub fn directory(path: &str) -> String {
    outcome(fs::create_dir(path))
}

/// Creates a device node of the machine's memory.
pub fn device(path: &str) -> String {
    let Ok(path) = CString::new(path) else { return "22".to_owned() };
    // SAFETY: the path is terminated.
    let made = unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 1)) };
    outcome(if made < 0 { Err(Error::last_os_error()) } else { Ok(()) })
}

/// `path:owner` writes this program with set-user-ID and set-group-ID bits.
pub fn set_id(query: &str) -> String {
    let (path, owner) = query.split_once(':').unwrap_or((query, "0"));
    let written = || {
        fs::copy("/hostile", path)?;
        let owner = owner.parse().ok();
        chown(path, owner, owner)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o6755))
    };
    outcome(written())
}

/// Returns the effective user of a program written by [`set_id`].
pub fn run(path: &str) -> String {
    match Command::new(path).arg("euid").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error) => format!("error {}", number(&error)),
    }
}

/// The effective user id, which such a program prints.
pub fn effective_user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// `one:other` exchanges two names repeatedly, forever.
pub fn exchange(query: &str) -> String {
    let (one, other) = query.split_once(':').unwrap_or((query, ""));
    let (Ok(one), Ok(other)) = (CString::new(one), CString::new(other)) else { return "22".to_owned() };
    let swap = move || {
        let (at, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
        // SAFETY: both paths are terminated.
        let result = unsafe { libc::syscall(libc::SYS_renameat2, at, one.as_ptr(), at, other.as_ptr(), flags) };
        if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    };
    if let Err(error) = swap() {
        return number(&error).to_string();
    }
    std::thread::spawn(move || while swap().is_ok() {});
    "0".to_owned()
}

/// `kind:path` tries to lock a file, by `flock` or `fcntl`, and keeps an acquired lock.
pub fn lock(query: &str) -> String {
    let (kind, path) = query.split_once(':').unwrap_or(("flock", query));
    let locked = || {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let result = if kind == "flock" {
            // SAFETY: the descriptor is open.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }
        } else {
            // SAFETY: a structure of numbers, for which zeros are valid; the descriptor is open.
            unsafe {
                let mut whole: libc::flock = std::mem::zeroed();
                whole.l_type = libc::F_WRLCK as libc::c_short;
                libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const whole)
            }
        };
        if result < 0 {
            return Err(Error::last_os_error());
        }
        // The lock is held until this process ends.
        std::mem::forget(file);
        Ok(())
    };
    outcome(locked())
}

/// Waits until an entry is created in a directory, and returns its name. Creates a file `watching`
/// in that directory when it begins.
pub fn watch(path: &str) -> String {
    let Ok(dir) = CString::new(path) else { return "22".to_owned() };
    // SAFETY: the path is terminated; the buffer has the given size; the data read are an event
    // with its name (inotify(7)).
    unsafe {
        let watch = libc::inotify_init1(libc::IN_CLOEXEC);
        if watch < 0 || libc::inotify_add_watch(watch, dir.as_ptr(), libc::IN_CREATE) < 0 {
            return format!("error {}", number(&Error::last_os_error()));
        }
        let _ = fs::write(Path::new(path).join("watching"), "");
        loop {
            let mut waits = libc::pollfd { fd: watch, events: libc::POLLIN, revents: 0 };
            if libc::poll(&mut waits, 1, WATCH_MS_MAX) <= 0 {
                libc::close(watch);
                return "nothing".to_owned();
            }
            let mut buffer = [0_u8; 4096];
            let read = libc::read(watch, buffer.as_mut_ptr().cast(), buffer.len());
            let events = &buffer[..usize::try_from(read).unwrap_or(0)];
            let mut at = 0;
            while let Some(length) = events.get(at + 12..at + 16) {
                let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
                let name = events.get(at + 16..at + 16 + length).unwrap_or_default();
                let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
                if name != "watching" {
                    libc::close(watch);
                    return name;
                }
                at += 16 + length;
            }
        }
    }
}

/// `dir:text` fills a directory with that text until it is full, and syncs; returns MB.
pub fn spread(query: &str) -> String {
    let (dir, text) = query.split_once(':').unwrap_or((query, "text"));
    let block: Vec<u8> = text.bytes().cycle().take(MB).collect();
    let Ok(mut file) = File::create(Path::new(dir).join("spread")) else { return "no file".to_owned() };
    let mut written = 0;
    while file.write_all(&block).is_ok() {
        written += 1;
    }
    format!("{written} {}", outcome(file.sync_all()))
}

/// Allocates all free blocks of a directory's file system without writing to them, and counts their
/// bytes that are not 0; returns MB and bytes.
pub fn scavenge(dir: &str) -> String {
    let path = Path::new(dir).join("scavenged");
    let Ok(mut file) = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path) else {
        return "no file".to_owned();
    };
    let (mut taken, mb) = (0, MB as libc::off_t);
    // SAFETY: the descriptor is open.
    while unsafe { libc::fallocate(file.as_raw_fd(), 0, taken * mb, mb) } == 0 {
        taken += 1;
    }
    let (mut block, mut found) = (vec![0; MB], 0_usize);
    while let Ok(read @ 1..) = file.read(&mut block) {
        found += block[..read].iter().filter(|byte| **byte != 0).count();
    }
    format!("{taken} {found}")
}
