//! The output of one instance, recorded until this is dropped.

use logs::Logs;
use types::InstanceId;

/// An attachment by [`Logs::attach`]; detached when dropped.
pub(crate) struct Output {
    logs: Logs,
    instance: InstanceId,
}

impl Output {
    /// Takes over an attached instance.
    pub(crate) fn new(logs: Logs, instance: InstanceId) -> Self {
        Self { logs, instance }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.logs.detach(&self.instance);
    }
}
