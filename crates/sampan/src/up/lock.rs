//! Exclusive use of the data directory by a file lock, which the kernel releases with the process.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Exit, Failure};

/// The locked file; contains the process id of its last holder.
const FILE_NAME: &str = "lock";
/// Longest wait for a holder that seems alive: it may just have been killed.
const HELD_WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest wait for an exiting holder: the kernel frees memory, mounts and namespaces before locks.
const ENDING_WAIT_MAX: Duration = Duration::from_secs(30);
/// Interval of attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Flag of an exiting process (linux/sched.h), in the ninth field of `/proc/<pid>/stat`.
const PF_EXITING: u64 = 4;

/// Takes the lock, which is held until the file is dropped. Blocks up to the waits above if another
/// process holds it.
pub fn take(data_dir: &Path) -> anyhow::Result<File> {
    take_within(data_dir, HELD_WAIT_MAX)
}

fn take_within(data_dir: &Path, held_wait_max: Duration) -> anyhow::Result<File> {
    let path = data_dir.join(FILE_NAME);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let holder = || fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let begun = Instant::now();
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let wait_max = if holder().is_some_and(is_ending) { ENDING_WAIT_MAX } else { held_wait_max };
        if begun.elapsed() > wait_max {
            return Err(Failure::new(
                Exit::Failed,
                format!("another `sampan up` runs on the data directory {}", data_dir.display()),
                "Stop it first, or choose another folder with --data-dir.",
            )
            .into());
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
    // The kernel releases a dying process's lock before its ports.
    while begun.elapsed() < ENDING_WAIT_MAX && holder().is_some_and(closes_files) {
        std::thread::sleep(RETRY_INTERVAL);
    }
    // Only informs a waiting process, so a full disk must not prevent the start.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).ok();
    Ok(file)
}

/// Whether a process is exiting. A process that is not visible holds the lock from another
/// container and counts as running.
fn is_ending(pid: u32) -> bool {
    state(Path::new(&format!("/proc/{pid}/stat"))).is_some_and(|state| state.has_ended || state.is_exiting)
}

/// Whether a process is exiting and still has threads with open files.
fn closes_files(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| state(&thread.path().join("stat")));
    is_ending(pid) && states.any(|state| !state.has_ended)
}

/// State of a thread.
struct State {
    has_ended: bool,
    is_exiting: bool,
}

fn state(stat: &Path) -> Option<State> {
    let text = fs::read_to_string(stat).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    Some(State { has_ended, is_exiting: flags & PF_EXITING != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_platform_on_a_data_directory_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = take(dir.path()).expect("free");
        let second = take_within(dir.path(), Duration::ZERO);
        assert!(second.expect_err("held").to_string().contains("another `sampan up`"));
        drop(first);
        assert!(take(dir.path()).is_ok());
    }

    #[test]
    fn an_exiting_holder_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut ended = std::process::Command::new("true").spawn().expect("started");
        while !is_ending(ended.id()) {
            std::thread::yield_now();
        }
        let first = take(dir.path()).expect("free");
        // A killed process that still holds the lock.
        fs::write(dir.path().join(FILE_NAME), format!("{}\n", ended.id())).expect("written");
        let (waiting, second) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| waiting.send(take_within(dir.path(), Duration::ZERO)));
            assert!(second.recv_timeout(RETRY_INTERVAL * 5).is_err(), "it waits");
            drop(first);
            assert!(second.recv().expect("an answer").is_ok());
        });
        // A reaped process does not count as exiting.
        ended.wait().expect("ended");
        assert!(!is_ending(ended.id()));
        let own = std::process::id();
        assert!(!is_ending(own) && !closes_files(own));
    }
}
