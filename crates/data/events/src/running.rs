//! The runs of this process: their cancellations and functions.

use std::collections::HashMap;

use invoke::Cancellation;
use parking_lot::Mutex;
use types::{FunctionKey, RequestId};

/// Runs by event. One is recorded from its start, or from its termination where that comes first,
/// until its end is stored.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<RequestId, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    cancellation: Cancellation,
    /// `None` before the run begins.
    function: Option<FunctionKey>,
}

impl Running {
    /// The cancellation of a run that begins; it may be cancelled already.
    pub(crate) fn begin(&self, event: &RequestId, function: &FunctionKey) -> Cancellation {
        let mut runs = self.0.lock();
        let entry = runs.entry(event.clone()).or_default();
        entry.function = Some(function.clone());
        entry.cancellation.clone()
    }

    /// Cancels a claimed run, even before it begins.
    pub(crate) fn cancel(&self, event: &RequestId, graceful: bool) {
        let cancellation = self.0.lock().entry(event.clone()).or_default().cancellation.clone();
        match graceful {
            true => cancellation.stop(),
            false => cancellation.kill(),
        }
    }

    /// The running events, and their functions.
    pub(crate) fn events(&self) -> Vec<(RequestId, FunctionKey)> {
        let runs = self.0.lock();
        runs.iter().filter_map(|(event, run)| Some((event.clone(), run.function.clone()?))).collect()
    }

    /// Removes a run whose end is stored.
    pub(crate) fn end(&self, event: &RequestId) {
        self.0.lock().remove(event);
    }
}
