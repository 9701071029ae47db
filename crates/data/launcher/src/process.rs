//! A sandbox as the pool's [`Process`], with one port and one stop policy.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use pool::{BoxFuture, Process};
use sandbox::{NotListening, Sandbox};
use types::{ExitStatus, NetworkBytes};

use crate::machine::{Held, LocalProcess};
use crate::stop::StopPolicy;

/// An instance on this machine; killed when dropped.
pub(crate) struct SandboxProcess {
    sandbox: Sandbox,
    port: u16,
    stop: StopPolicy,
}

impl SandboxProcess {
    pub(crate) fn new(sandbox: Sandbox, port: u16, stop: StopPolicy) -> Self {
        Self { sandbox, port, stop }
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        // The task that waits for its end has a handle, too.
        self.sandbox.kill();
    }
}

impl LocalProcess for SandboxProcess {
    fn wait_listening(&self, timeout: Duration) -> BoxFuture<'_, Result<(), NotListening>> {
        Box::pin(self.sandbox.wait_listening(self.port, timeout))
    }

    fn hold_until_ended(&self, held: Held) {
        let sandbox = self.sandbox.clone();
        tokio::spawn(async move {
            sandbox.exited().await;
            drop(held);
        });
    }
}

impl Process for SandboxProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>> {
        Box::pin(self.sandbox.connect(self.port))
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(self.sandbox.exited())
    }

    fn kill(&self) {
        self.sandbox.kill();
    }

    fn stop(&self, longest: Duration) {
        self.sandbox.stop(self.stop.signal, self.stop.grace.min(longest));
    }

    fn stop_grace(&self) -> Duration {
        self.stop.grace
    }

    fn freeze(&self) -> io::Result<()> {
        self.sandbox.freeze()
    }

    fn thaw(&self) -> io::Result<()> {
        self.sandbox.thaw()
    }

    fn out_of_memory(&self) -> bool {
        self.sandbox.out_of_memory()
    }

    fn memory_peak_bytes(&self) -> u64 {
        self.sandbox.memory_peak_bytes()
    }

    fn address(&self) -> Option<IpAddr> {
        self.sandbox.address().map(IpAddr::V4)
    }

    fn network_bytes(&self) -> NetworkBytes {
        // Unreadable counters count as zero now; the next reading has the total.
        self.sandbox.network_bytes().unwrap_or_default()
    }
}
