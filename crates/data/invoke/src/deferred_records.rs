//! Records of asynchronous events that have not begun: each begins with an instance for its event,
//! or with the start of one. An event for which there is no room leaves none.

use std::collections::HashMap;

use logs::{Begin, Logs};
use parking_lot::Mutex;
use types::RequestId;

use crate::clock::unix_ms;
use crate::report;

/// Records that have not begun, by request.
pub(crate) struct DeferredRecords {
    logs: Logs,
    waiting: Mutex<HashMap<RequestId, Begin>>,
}

impl DeferredRecords {
    pub fn new(logs: Logs) -> Self {
        Self { logs, waiting: Mutex::default() }
    }

    /// Defers a record until its request has an instance.
    pub fn defer(&self, begin: Begin) {
        self.waiting.lock().insert(begin.request_id.clone(), begin);
    }

    /// Begins the record of a request, if it is deferred.
    pub fn begin(&self, request: &RequestId) {
        let mut waiting = self.waiting.lock();
        let Some(begin) = waiting.remove(request) else { return };
        // Under the lock: a caller that finds the record begun may append to it.
        let retry_num = begin.retry_num;
        let log = self.logs.begin(Begin { start_ms: unix_ms(), ..begin });
        if retry_num > 0 {
            log.platform(&report::retry(retry_num));
        }
    }

    /// Drops a record that has not begun; false where it has.
    pub fn withdraw(&self, request: &RequestId) -> bool {
        self.waiting.lock().remove(request).is_some()
    }
}
