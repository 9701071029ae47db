//! Signals that end the platform: the first asks it to, the second ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Output;
use crate::failure::{Exit, Failure};

/// The signals that are listened to; none falls between while this lives.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// Which one asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndSignal {
    /// SIGINT
    Interrupt,
    /// SIGTERM
    Terminate,
}

impl Signals {
    /// From now on.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until one asks for the end. SIGHUP calls `reload` meanwhile.
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
    /// Ends this process with the code of a process that the signal has killed, without waiting for anything.
    pub fn end_process(self, format: Output) -> ! {
        let (name, exit) = match self {
            Self::Interrupt => ("SIGINT", Exit::Interrupted),
            Self::Terminate => ("SIGTERM", Exit::Terminated),
        };
        let message = format!("ended at once by a second {name}; requests under way were cut off");
        Failure::new(exit, message, "The next start removes what was left of instances.").report(format);
        std::process::exit(i32::from(exit as u8))
    }
}
