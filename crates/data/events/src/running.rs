//! The runs of this process: what cancels each, and whose it is.

use std::collections::HashMap;

use invoke::Cancellation;
use parking_lot::Mutex;
use types::{FunctionKey, RequestId};

/// Runs by event. One is here from its start, or from its termination where that comes first, until
/// its end is stored.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<RequestId, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    cancellation: Cancellation,
    /// `None` before the run begins.
    function: Option<FunctionKey>,
}

impl Running {
    /// The cancellation of a run that begins; it may be canceled already.
    pub(crate) fn begin(&self, event: &RequestId, function: &FunctionKey) -> Cancellation {
        let mut runs = self.0.lock();
        let entry = runs.entry(event.clone()).or_default();
        entry.function = Some(function.clone());
        entry.cancellation.clone()
    }

    /// Cancels a run that was claimed, also before it begins.
    pub(crate) fn cancel(&self, event: &RequestId, graceful: bool) {
        let cancellation = self.0.lock().entry(event.clone()).or_default().cancellation.clone();
        match graceful {
            true => cancellation.stop(),
            false => cancellation.kill(),
        }
    }

    /// The events that run, and their functions.
    pub(crate) fn events(&self) -> Vec<(RequestId, FunctionKey)> {
        let runs = self.0.lock();
        runs.iter().filter_map(|(event, run)| Some((event.clone(), run.function.clone()?))).collect()
    }

    /// The end of a run is stored: nothing cancels it any more.
    pub(crate) fn end(&self, event: &RequestId) {
        self.0.lock().remove(event);
    }
}
