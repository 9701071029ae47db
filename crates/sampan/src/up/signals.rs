//! Termination signals: the first shuts down gracefully, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Output;
use crate::failure::{Exit, Failure};

/// Installed signal handlers; signals are queued until this is dropped.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// A termination signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSignal {
    /// SIGINT
    Interrupt,
    /// SIGTERM
    Terminate,
}

impl Signals {
    /// Installs the handlers.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a termination signal; calls `reload` on each SIGHUP.
    pub async fn end_asked(&mut self, reload: impl Fn()) -> EndSignal {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return EndSignal::Interrupt,
                _ = self.terminate.recv() => return EndSignal::Terminate,
                _ = self.hang_up.recv() => reload(),
            }
        }
    }
}

impl EndSignal {
    /// Exits at once with the exit code of a process killed by the signal.
    pub fn end_process(self, format: Output) -> ! {
        let (name, exit) = match self {
            Self::Interrupt => ("SIGINT", Exit::Interrupted),
            Self::Terminate => ("SIGTERM", Exit::Terminated),
        };
        let message = format!("stopped at once by a second {name}; requests in flight were aborted");
        Failure::new(exit, message, "The next start removes leftovers of instances.").report(format);
        std::process::exit(i32::from(exit as u8))
    }
}
