//! The runs of this process that can be canceled, by event.

use std::collections::HashMap;

use invoke::Cancellation;
use parking_lot::Mutex;
use types::RequestId;

/// Cancellations by event. One is here from the start of a run, or from its termination where that
/// comes first, until the end of the run is stored.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<RequestId, Cancellation>>);

impl Running {
    /// The cancellation of a run that begins; it may be canceled already.
    pub(crate) fn begin(&self, event: &RequestId) -> Cancellation {
        self.0.lock().entry(event.clone()).or_default().clone()
    }

    /// Cancels a run that was claimed, also before it begins.
    pub(crate) fn cancel(&self, event: &RequestId, graceful: bool) {
        let cancellation = self.begin(event);
        match graceful {
            true => cancellation.stop(),
            false => cancellation.kill(),
        }
    }

    /// The events that run.
    pub(crate) fn events(&self) -> Vec<RequestId> {
        self.0.lock().keys().cloned().collect()
    }

    /// The end of a run is stored: nothing cancels it any more.
    pub(crate) fn end(&self, event: &RequestId) {
        self.0.lock().remove(event);
    }
}
