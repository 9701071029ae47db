//! Failures of starts, with the contract's codes (4.5) and a remedy in the message. Pure.

use std::fmt::Write;
use std::net::SocketAddr;

use types::{ExitStatus, RunStatus};

/// A failed start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: RunStatus,
    /// For the caller.
    pub(crate) message: String,
    /// For the function's owner alone, appended to the message: output of the image, its paths and
    /// programs, and library errors.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(status: RunStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: String::new() }
    }

    /// Adds the details for the owner.
    #[must_use]
    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Adds the last lines of its output.
    fn with_output(self, last_output: &str) -> Self {
        if last_output.is_empty() { self } else { self.with_detail(format!(". Its last output:\n{last_output}")) }
    }

    /// The version's definition cannot be run.
    pub(crate) fn init(message: impl Into<String>) -> Self {
        Self::new(RunStatus::ContainerInitError, message)
    }

    /// The machine has no room for another instance.
    pub(crate) fn resources(message: impl Into<String>) -> Self {
        Self::new(RunStatus::InsufficientResources, message)
    }

    /// The start timed out before the image's program ran.
    pub(crate) fn slow_start(init_timeout_s: u32) -> Self {
        Self::new(
            RunStatus::InitContainerTimeout,
            format!(
                "the container was not started within {init_timeout_s} s (InitTimeout); the machine may be overloaded: \
                 try again, or raise InitTimeout"
            ),
        )
    }

    /// The program ended before its server accepted connections. `memory_mb` is its limit,
    /// `peak_bytes` its peak.
    pub(crate) fn ended(ended: &ExitStatus, port: u16, memory_mb: u32, peak_bytes: u64, last_output: &str) -> Self {
        let when = format!("before its server listened on port {port}");
        Self::ended_when(ended, &when, memory_mb, peak_bytes, last_output)
    }

    /// The program ended right after its server accepted connections.
    pub(crate) fn ended_early(
        ended: &ExitStatus,
        port: u16,
        memory_mb: u32,
        peak_bytes: u64,
        last_output: &str,
    ) -> Self {
        let when = format!("right after its server listened on port {port}");
        Self::ended_when(ended, &when, memory_mb, peak_bytes, last_output)
    }

    fn ended_when(ended: &ExitStatus, when: &str, memory_mb: u32, peak_bytes: u64, last_output: &str) -> Self {
        if ended.out_of_memory {
            let message = format!(
                "the container went over its {memory_mb} MB of memory while it started (it had {} MB in use) and was \
                 killed; raise MemorySize",
                peak_bytes >> 20
            );
            return Self::new(RunStatus::MemoryLimitReached, message).with_output(last_output);
        }
        let how = match (ended.code, ended.signal) {
            (Some(code), _) => format!("exited with code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let message = format!("the container {how} {when}");
        Self::new(RunStatus::ContainerStateExited, message).with_output(last_output)
    }

    /// The program runs but its server did not accept connections in time. `open` are the addresses
    /// on which it listens.
    pub(crate) fn not_listening(port: u16, init_timeout_s: u32, open: &[SocketAddr], last_output: &str) -> Self {
        let mut message = format!("port {port} was not open within {init_timeout_s} s (InitTimeout); ");
        if open.is_empty() {
            message.push_str("the process listens on no port");
        } else {
            let open: Vec<_> = open.iter().map(SocketAddr::to_string).collect();
            write!(message, "the process listens on {}", open.join(", ")).expect("a String takes any text");
        }
        // Calls connect from inside the instance's own network namespace.
        write!(
            message,
            "; the server must listen on port {port} of 0.0.0.0, [::], 127.0.0.1 or [::1] (the variable PORT says which \
             port), or ImagePort (`sampan deploy --port`) must say the port that it has"
        )
        .expect("a String takes any text");
        Self::new(RunStatus::PortBindingFailed, message).with_output(last_output)
    }
}

/// The last lines of a failed start's log, without the platform's own.
pub(crate) fn last_output(log: &str, lines_max: usize) -> String {
    let own = |line: &&str| !(line.starts_with("START RequestId:") || line.starts_with("[PLATFORM]"));
    let mut lines: Vec<_> = log.lines().filter(own).collect();
    lines.drain(..lines.len().saturating_sub(lines_max));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: ExitStatus = ExitStatus { code: Some(3), signal: None, out_of_memory: false };

    #[test]
    fn an_early_end_is_told_with_code_and_last_output() {
        let failure = Failure::ended(&CLEAN, 9000, 128, 0, "no module named app");
        assert_eq!(failure.status, RunStatus::ContainerStateExited);
        assert_eq!(
            failure.message, "the container exited with code 3 before its server listened on port 9000",
            "output is for the owner alone"
        );
        assert_eq!(failure.detail, ". Its last output:\nno module named app");
        let killed = ExitStatus { code: None, signal: Some(11), out_of_memory: false };
        assert!(Failure::ended(&killed, 9000, 128, 0, "").message.contains("was ended by signal 11 before"));
    }

    #[test]
    fn running_out_of_memory_is_told_apart() {
        let failure = Failure::ended(&ExitStatus { out_of_memory: true, ..CLEAN }, 9000, 128, 127 << 20, "");
        assert_eq!(failure.status, RunStatus::MemoryLimitReached);
        assert!(
            failure.message.contains("128 MB")
                && failure.message.contains("(it had 127 MB in use)")
                && failure.message.ends_with("raise MemorySize")
        );
    }

    #[test]
    fn a_closed_port_says_what_is_open_instead() {
        for (open, expected) in [
            (&[][..], "the process listens on no port;"),
            (&["127.0.0.1:8080"], "the process listens on 127.0.0.1:8080;"),
            (&["0.0.0.0:80", "[::1]:8080"], "the process listens on 0.0.0.0:80, [::1]:8080;"),
            (&["10.0.0.2:9000"], "the process listens on 10.0.0.2:9000;"),
        ] {
            let open: Vec<SocketAddr> = open.iter().map(|address| address.parse().expect("an address")).collect();
            let failure = Failure::not_listening(9000, 90, &open, "");
            assert_eq!(failure.status, RunStatus::PortBindingFailed);
            assert!(failure.message.starts_with("port 9000 was not open within 90 s"));
            assert!(failure.message.contains(expected), "{}", failure.message);
            assert!(failure.message.contains("listen on port 9000 of 0.0.0.0, [::], 127.0.0.1 or [::1]"));
        }
    }

    #[test]
    fn last_output_leaves_the_platforms_lines_out() {
        let log = "START RequestId:x\none\ntwo\n[PLATFORM] 3 lines were dropped\nthree\n";
        assert_eq!(last_output(log, 2), "two\nthree");
        assert_eq!(last_output(log, 9), "one\ntwo\nthree");
        assert_eq!(last_output("", 9), "");
    }
}
