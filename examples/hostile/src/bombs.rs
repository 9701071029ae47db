//! Resource exhaustion: processes, threads, memory, descriptors, disk space, files, output. Each
//! attack except the endless ones returns the count reached and the error number.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::path::Path;
use std::sync::mpsc;

use crate::files::number;

/// More than any limit.
const TRIES_MAX: usize = 2_000_000;
/// Enough processes or threads to show that there is no limit, without lasting damage.
const PROCESSES_MAX: usize = 5_000;
const MB: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

fn outcome(count: usize, error: Option<Error>) -> String {
    format!("{count} {}", error.map_or(0, |error| number(&error)))
}

/// Forks children that wait until fork fails, and kills them.
pub fn forks() -> String {
    let mut children = Vec::new();
    let mut error = None;
    while children.len() < PROCESSES_MAX {
        // SAFETY: the child calls only async-signal-safe functions after the fork.
        match unsafe { libc::fork() } {
            -1 => {
                error = Some(Error::last_os_error());
                break;
            }
            0 => loop {
                // SAFETY: takes no arguments.
                unsafe { libc::pause() };
            },
            child => children.push(child),
        }
    }
    for child in &children {
        // SAFETY: our own children, not yet reaped.
        unsafe {
            libc::kill(*child, libc::SIGKILL);
            libc::waitpid(*child, std::ptr::null_mut(), 0);
        }
    }
    outcome(children.len(), error)
}

/// The fork bomb: every child forks forever.
pub fn fork_for_ever() -> String {
    loop {
        // SAFETY: parent and child call nothing else.
        unsafe { libc::fork() };
    }
}

/// Starts waiting threads until that fails, and ends them.
pub fn threads() -> String {
    let (mut senders, mut error) = (Vec::new(), None);
    while senders.len() < PROCESSES_MAX {
        let (sender, receiver) = mpsc::channel::<()>();
        // The threads wait until the sender is dropped, which is an error.
        let waits = move || receiver.recv().is_err();
        match std::thread::Builder::new().stack_size(4 * PAGE_BYTES).spawn(waits) {
            Ok(_) => senders.push(sender),
            Err(refused) => {
                error = Some(refused);
                break;
            }
        }
    }
    outcome(senders.len(), error)
}

/// Allocates memory until the kernel kills it.
pub fn memory() -> String {
    let mut held = Vec::new();
    loop {
        let mut block = vec![0_u8; MB];
        block.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
        held.push(std::hint::black_box(block));
    }
}

/// Opens files until open fails, and closes them.
pub fn files() -> String {
    let mut open = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) if open.len() < TRIES_MAX => open.push(file),
            Ok(_) => break None,
            Err(error) => break Some(error),
        }
    };
    outcome(open.len(), error)
}

/// Creates inotify instances until that fails, and keeps them.
pub fn watches() -> String {
    let mut count = 0;
    let error = loop {
        // SAFETY: takes flags, and returns a new descriptor.
        match unsafe { libc::inotify_init1(libc::IN_CLOEXEC) } {
            -1 => break Some(Error::last_os_error()),
            _ if count == PROCESSES_MAX => break None,
            _ => count += 1,
        }
    };
    outcome(count, error)
}

/// Queues blocked signals for this thread until that fails; they are discarded with the thread.
pub fn signals() -> String {
    let signal = libc::SIGRTMIN() + 3;
    let mut count = 0;
    // SAFETY: the set is a local; the value of the signal is a number.
    let error = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        let value = libc::sigval { sival_ptr: std::ptr::null_mut() };
        loop {
            match libc::pthread_sigqueue(libc::pthread_self(), signal, value) {
                0 => {}
                refused => break Some(Error::from_raw_os_error(refused)),
            }
            count += 1;
            if count == TRIES_MAX {
                break None;
            }
        }
    };
    outcome(count, error)
}

/// Fills a directory with one file until the write fails, and removes it; returns MB.
pub fn fill(dir: &str) -> String {
    let path = Path::new(dir).join("filling");
    let block = vec![7; MB];
    let mut written = 0;
    let filled = File::create(&path).and_then(|mut file| {
        while written < TRIES_MAX {
            file.write_all(&block)?;
            written += 1;
        }
        Ok(())
    });
    // The file may not exist.
    let _ = fs::remove_file(path);
    outcome(written, filled.err())
}

/// Fills a directory with empty files, and removes them.
pub fn inodes(dir: &str) -> String {
    let dir = Path::new(dir).join("inodes");
    let made = |number: usize| dir.join(number.to_string());
    let mut count = 0;
    let mut filled = fs::create_dir(&dir);
    while filled.is_ok() && count < TRIES_MAX {
        filled = File::create(made(count)).map(drop);
        count += usize::from(filled.is_ok());
    }
    // The directory may not exist.
    let _ = fs::remove_dir_all(&dir);
    outcome(count, filled.err())
}

/// Creates System V shared memory segments until that fails, and removes them; returns MB.
pub fn shared_memory() -> String {
    let (mut segments, mut error) = (Vec::new(), None);
    while segments.len() < PROCESSES_MAX && error.is_none() {
        // SAFETY: a new segment is attached at an address of the kernel's choice, and written
        // within its size.
        unsafe {
            let segment = libc::shmget(libc::IPC_PRIVATE, MB, libc::IPC_CREAT | 0o600);
            if segment < 0 {
                error = Some(Error::last_os_error());
                break;
            }
            segments.push(segment);
            let at = libc::shmat(segment, std::ptr::null(), 0);
            if at as isize == -1 {
                error = Some(Error::last_os_error());
            } else {
                std::ptr::write_bytes(at.cast::<u8>(), 1, MB);
                libc::shmdt(at);
            }
        }
    }
    for segment in &segments {
        // SAFETY: our own segment.
        unsafe { libc::shmctl(*segment, libc::IPC_RMID, std::ptr::null_mut()) };
    }
    outcome(segments.len(), error)
}

/// Prints this many MB, in lines of 100 bytes.
pub fn print(mb: &str) -> String {
    let mut out = std::io::stdout().lock();
    let line = format!("{}\n", "x".repeat(99));
    let lines = mb.parse::<usize>().unwrap_or(1) * MB / line.len();
    let printed = (0..lines).try_for_each(|_| out.write_all(line.as_bytes()));
    outcome(lines, printed.err())
}
