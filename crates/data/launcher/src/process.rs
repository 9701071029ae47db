//! A started instance as the pool sees it, and what is let go of when it ends. Must not know why it ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use logs::Logs;
use pool::{BoxFuture, Ended, NetworkBytes, Process};
use types::InstanceId;

use crate::ending::Ending;
use crate::machine::{Root, Running};

/// The output of an instance; its reader ends with this.
pub(crate) struct Output {
    logs: Logs,
    instance: InstanceId,
}

impl Output {
    /// Takes charge of what [`Logs::attach`] began.
    pub(crate) fn new(logs: Logs, instance: InstanceId) -> Self {
        Self { logs, instance }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.logs.detach(&self.instance);
    }
}

/// An instance on this machine. It is killed when nobody holds it any more. Its root and its reader are let go of when it
/// has ended, whoever ended it, by the task that [`LocalProcess::new`] starts.
pub(crate) struct LocalProcess {
    running: Arc<dyn Running>,
    port: u16,
    ending: Ending,
}

impl LocalProcess {
    pub(crate) fn new(running: Arc<dyn Running>, port: u16, ending: Ending, root: Root, output: Output) -> Self {
        let watched = running.clone();
        tokio::spawn(async move {
            watched.ended().await;
            drop(output);
            drop(root);
        });
        Self { running, port, ending }
    }

    pub(crate) fn running(&self) -> &dyn Running {
        self.running.as_ref()
    }
}

impl Drop for LocalProcess {
    fn drop(&mut self) {
        self.running.kill();
    }
}

impl Process for LocalProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>> {
        self.running.connect(self.port)
    }

    fn ended(&self) -> BoxFuture<'_, Ended> {
        self.running.ended()
    }

    fn kill(&self) {
        self.running.kill();
    }

    fn stop(&self, longest: Duration) {
        let Ending { signal, grace } = self.ending;
        self.running.stop(signal, grace.min(longest));
    }

    fn stop_grace(&self) -> Duration {
        self.ending.grace
    }

    fn freeze(&self) -> io::Result<()> {
        self.running.freeze()
    }

    fn thaw(&self) -> io::Result<()> {
        self.running.thaw()
    }

    fn out_of_memory(&self) -> bool {
        self.running.out_of_memory()
    }

    fn memory_peak_bytes(&self) -> u64 {
        self.running.memory_peak_bytes()
    }

    fn network_bytes(&self) -> NetworkBytes {
        self.running.network_bytes()
    }
}
