//! Room of an event in the backlog.

use std::sync::Arc;

use types::{FunctionKey, TriggerId};

use crate::backlog::Reserved;
use crate::dispatcher::Queue;
use crate::error::Error;

/// Room in the backlog that is given back unless the event was committed. It outlives a caller that
/// goes away between the two.
pub(crate) struct Room {
    queue: Arc<Queue>,
    function: FunctionKey,
    trigger: Option<TriggerId>,
    reserved: Option<Reserved>,
}

impl Room {
    /// Takes room for an event, which a trigger made where one is given.
    pub(crate) fn take(
        queue: &Arc<Queue>,
        function: FunctionKey,
        trigger: Option<TriggerId>,
        bytes: usize,
    ) -> Result<Self, Error> {
        let reserved = Some(queue.backlog.reserve(&function, bytes as u64, &queue.config)?);
        Ok(Self { queue: Arc::clone(queue), function, trigger, reserved })
    }

    /// The event was committed, and is due then.
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
