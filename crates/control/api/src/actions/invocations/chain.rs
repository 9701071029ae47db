//! Chains of events: a function that invokes another forwards its run's `X-Scf-Chain-Depth`.

use events::CHAIN_DEPTH_MAX;
use types::{ApiError, ErrorCode, FunctionKey};

/// Refuses an event of a chain at the maximum length.
pub(super) fn check(depth: u32, function: &FunctionKey) -> Result<(), ApiError> {
    if depth <= CHAIN_DEPTH_MAX {
        return Ok(());
    }
    tracing::warn!(%function, max = CHAIN_DEPTH_MAX, "refused a call: the chain of events that caused it is too long");
    let message = format!(
        "{CHAIN_DEPTH_MAX} events have led to this call of {function}, each caused by a run of the one before \
         (X-Scf-Chain-Depth); a function that causes its own events is stopped here"
    );
    Err(ApiError::new(ErrorCode::FAILED_INVOKE_FUNCTION, message))
}
