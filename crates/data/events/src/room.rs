//! Room of an event in the backlog.

use std::sync::Arc;

use types::{FunctionKey, TriggerId};

use crate::backlog::Reserved;
use crate::dispatcher::Queue;
use crate::error::Error;

/// Room in the backlog that is released unless the event was committed, even if the caller goes
/// away in between.
pub(crate) struct Room {
    queue: Arc<Queue>,
    function: FunctionKey,
    trigger: Option<TriggerId>,
    reserved: Option<Reserved>,
}

impl Room {
    /// Reserves room for an event, of a trigger where one is given.
    pub(crate) fn take(
        queue: &Arc<Queue>,
        function: FunctionKey,
        trigger: Option<TriggerId>,
        bytes: usize,
    ) -> Result<Self, Error> {
        let reserved = Some(queue.backlog.reserve(&function, bytes as u64, &queue.config)?);
        Ok(Self { queue: Arc::clone(queue), function, trigger, reserved })
    }

    /// Keeps the room of a committed event, with its due time.
    pub(crate) fn keep(&mut self, due_ms: i64) {
        self.reserved = None;
        self.queue.backlog.waits(&self.function, self.trigger.as_ref(), due_ms);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.queue.backlog.release(&self.function, reserved);
        }
    }
}
