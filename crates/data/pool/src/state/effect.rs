//! Results of a version's state: effects for the driver, and outcomes of requests.

use tokio::time::Instant;
use types::FunctionKey;

use crate::error::LeaseError;
use crate::launch::LaunchError;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::affinity::SessionSlot;
use crate::policy::instance_table::SlotIndex;
use crate::policy::queue::WaiterId;

/// The purpose of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartReason {
    /// A request waits.
    Request(WaiterId),
    /// Provisioned concurrency.
    Provisioned,
    /// The forecast expects calls.
    Forecast,
    /// The start check of a version that is not served yet.
    Check,
}

impl StartReason {
    /// The request that waits for the start.
    pub fn waiter(self) -> Option<WaiterId> {
        match self {
            Self::Request(waiter) => Some(waiter),
            Self::Provisioned | Self::Forecast | Self::Check => None,
        }
    }
}

/// An action for the driver after a transition.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// Start an instance, which admission has counted.
    Start(StartReason),
    /// Give a slot of an instance to a waiting request.
    Serve { waiter: WaiterId, slot: SlotIndex },
    /// Answer a waiting request with an error.
    Refuse { waiter: WaiterId, error: LeaseError },
    /// Stop an instance within its own grace; `capped` caps that, because a request waits for its
    /// room.
    Stop { slot: SlotIndex, capped: bool },
    /// Freeze an instance, if [`VersionState::may_freeze`] still says so by then.
    Freeze { slot: SlotIndex },
    /// Return a slot that a session held.
    Return(SessionSlot),
    /// Forget an instance: it has ended and has no leases.
    Forget { slot: SlotIndex },
}

/// Why no start was begun for a waiting request.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The reason.
    pub why: InTheWay,
    /// Whether room may come free for it.
    pub room_expected: bool,
    /// When the request began to wait.
    pub since: Instant,
}

/// The reason to refuse a start.
#[derive(Debug, Clone)]
pub(crate) enum InTheWay {
    /// A limit.
    Limit(LimitExceeded),
    /// The version's last start, which failed.
    Failure(LaunchError),
}

impl Refused {
    /// The answer to a request of the function.
    pub fn error(&self, function: &FunctionKey) -> LeaseError {
        match &self.why {
            InTheWay::Limit(limit) => LeaseError::OverQuota { function: function.clone(), limit: *limit },
            InTheWay::Failure(error) => LeaseError::BackedOff(error.clone()),
        }
    }

    /// Whether it takes precedence over the time-out of a request that has waited.
    pub fn outlasts_waiting(&self) -> bool {
        match &self.why {
            InTheWay::Limit(limit) => limit.is_quota(),
            InTheWay::Failure(_) => true,
        }
    }
}

/// Outcome of requesting a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// A slot; `prewarm` when another instance is to be started right away, because others often
    /// follow.
    Slot { slot: SlotIndex, prewarm: bool },
    /// None is free; see [`VersionState::wait`].
    Busy,
    /// The version left the pool.
    Closed,
    /// It was replaced or removed.
    Draining,
    /// The function's quota is 0.
    Stopped,
}
