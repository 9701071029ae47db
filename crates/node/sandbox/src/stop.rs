//! Stopping an instance: a signal to its first process, then a kill after the grace.
//!
//! The kernel drops signals to the first process of a namespace that it neither catches nor blocks
//! (pid_namespaces(7); kernel/signal.c, `sig_ignored`): such a process cannot react, and is killed
//! at once.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use types::ExitStatus;

use crate::chores::Chores;
use crate::killer::Killer;
use crate::runtime::Kind;

/// The system call in which a process waits for signals that it has blocked; they count as not
/// blocked meanwhile.
const SIGTIMEDWAIT: libc::c_long = libc::SYS_rt_sigtimedwait;

/// Content of `/proc/<pid>/syscall` for a process that is in no system call, or is leaving one.
const RUNNING: &str = "running";
/// Minimum number of reads of a running process, and the time between them.
const LOOKS_MIN: u32 = 3;
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// How long to wait until a runnable process gets a processor: the machine may be busy, or its
/// quota used up.
const PROCESSOR_WAIT_MAX: Duration = Duration::from_secs(1);

/// The stop of one instance.
pub struct Stop {
    /// Killer of its first process.
    pub killer: Killer,
    /// Pid of that process.
    pub pid: i32,
    /// The OCI runtime that isolates it; `None` for Sampan's own isolation.
    pub runtime: Option<Kind>,
    /// Threads that send the signal.
    pub chores: Arc<Chores>,
    /// Its exit status, once it has ended.
    pub exit: watch::Receiver<Option<ExitStatus>>,
}

impl Stop {
    /// Sends `signal`, and kills it after `grace`.
    pub async fn run(mut self, signal: i32, grace: Duration) {
        let (killer, pid, runtime) = (self.killer.clone(), self.pid, self.runtime);
        // Reading a process's files in `/proc` may block on what that process does.
        let ask = move || !grace.is_zero() && heeds(pid, runtime, signal) && killer.signal_and_thaw(signal).is_ok();
        if self.chores.ask(ask).await {
            // It has ended for any reason; or the sender was dropped, which publishes first.
            timeout(grace, self.exit.wait_for(Option::is_some)).await.ok();
        }
        if self.exit.borrow().is_none() {
            self.killer.kill();
        }
    }
}

/// Whether a signal may have an effect on an instance.
fn heeds(pid: i32, runtime: Option<Kind>, signal: i32) -> bool {
    match runtime {
        None => takes(pid, signal),
        // Only its own kernel sees its processes.
        Some(Kind::Runsc) => true,
        // The runtime forwards signals to its child, the first process inside.
        Some(_) => first_inside(pid).is_none_or(|pid| takes(pid, signal)),
    }
}

/// Whether the kernel keeps a signal for a process; true when that cannot be read, because the
/// process has ended or hides it. Only its first thread counts: the kernel checks there whether a
/// signal to the process is blocked.
///
/// A process that waits for signals has them unblocked meanwhile, and blocks them again when it is
/// woken, for example by a freeze, as soon as it gets a processor: until it has run, its state is
/// inconclusive.
fn takes(pid: i32, signal: i32) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
    let begun = Instant::now();
    let mut first_ran_ns = None;
    for look in 1.. {
        // Read before the rest, so that the rest is at least as new.
        let ran_ns = read("schedstat").ok().and_then(|text| processor_ns(&text));
        let (Ok(status), Ok(call)) = (read("status"), read("syscall")) else { return true };
        if expects(&status, signal) || waits(&call) {
            return true;
        }
        let has_run = ran_ns > *first_ran_ns.get_or_insert(ran_ns) || ran_ns.is_none();
        if call.trim() != RUNNING || is_judged(look, has_run, begun.elapsed()) {
            return false;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    false
}

/// Whether the state of a running process is conclusive, and not that from before it was woken.
fn is_judged(looks: u32, has_run: bool, waited: Duration) -> bool {
    looks >= LOOKS_MIN && (has_run || waited >= PROCESSOR_WAIT_MAX)
}

/// Time on a processor, from `/proc/<pid>/schedstat`.
fn processor_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// Whether a process catches or blocks a signal, from `/proc/<pid>/status`.
fn expects(status: &str, signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or_default();
    let has = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & bit != 0)
    };
    has("SigCgt:") || has("SigBlk:")
}

/// Whether a process waits for signals, from `/proc/<pid>/syscall`.
fn waits(call: &str) -> bool {
    call.split_whitespace().next().and_then(|number| number.parse().ok()) == Some(SIGTIMEDWAIT)
}

/// The child of a runtime that is the first process of a pid namespace.
fn first_inside(runtime: i32) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{runtime}/task")).ok()?;
    let children = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<i32> = children.flat_map(|all| numbers(&all)).collect();
    children.into_iter().find(|pid| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|s| is_first(&s)))
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn is_first(status: &str) -> bool {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_some_and(|pids| pids.split_whitespace().next_back() == Some("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_expected_by_who_catches_or_blocks_it() {
        let status = |blocked: &str, ignored: &str, caught: &str| {
            format!("Name:\tx\nSigPnd:\t0000000000000000\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n")
        };
        let none = "0000000000000000";
        for (blocked, ignored, caught, signal, want) in [
            (none, none, none, libc::SIGTERM, false),
            (none, none, "0000000000004000", libc::SIGTERM, true),
            ("0000000000004000", none, none, libc::SIGTERM, true),
            (none, "0000000000004000", none, libc::SIGTERM, false),
            (none, none, "0000000000004000", libc::SIGQUIT, false),
            // The signals that Go catches, and the last real-time signal.
            (none, none, "fffffffd7fc1feff", libc::SIGTERM, true),
            (none, none, "8000000000000000", 64, true),
            (none, none, "ffffffffffffffff", 0, false),
            (none, none, "ffffffffffffffff", 65, false),
        ] {
            assert_eq!(
                expects(&status(blocked, ignored, caught), signal),
                want,
                "{blocked} {ignored} {caught} {signal}"
            );
        }
        assert!(!expects("", libc::SIGTERM));
    }

    #[test]
    fn a_process_that_was_woken_is_judged_when_it_has_run() {
        for (looks, has_run, waited_ms, want) in [
            (1, true, 0, false),
            (3, true, 2, true),
            (3, false, 2, false),
            (100, false, 999, false),
            (100, false, 1000, true),
        ] {
            assert_eq!(
                is_judged(looks, has_run, Duration::from_millis(waited_ms)),
                want,
                "{looks} {has_run} {waited_ms}"
            );
        }
        assert_eq!(processor_ns("8123456 77 12\n"), Some(8_123_456));
        assert_eq!(processor_ns(""), None);
    }

    #[test]
    fn who_waits_for_signals_is_known_by_its_system_call() {
        assert!(waits(&format!("{SIGTIMEDWAIT} 0x7ffd1 0x0 0x7ffd2 0x8 0x0 0x0 0x7ffd3 0x7f1\n")));
        for call in ["running\n", "288 0x3 0x0\n", "-1 0x7ffd3 0x7f1\n", ""] {
            assert!(!waits(call), "{call}");
        }
    }

    #[test]
    fn the_first_process_of_a_namespace_is_known_by_its_innermost_number() {
        for (status, want) in
            [("NSpid:\t300\t7\t1\n", true), ("NSpid:\t1\n", true), ("NSpid:\t300\t12\n", false), ("", false)]
        {
            assert_eq!(is_first(status), want, "{status}");
        }
    }
}
