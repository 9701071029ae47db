//! Chains of events: a function that invokes another forwards its run's `X-Scf-Chain-Depth`.

use events::CHAIN_DEPTH_MAX;
use types::{ApiError, ErrorCode, FunctionKey};

use crate::actions::Caller;
use crate::context::Context;

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

/// The depth of a call in a chain in which functions call each other, as the gateway counts it; 0
/// from outside.
pub(super) fn call_depth(cx: &Context, caller: &Caller) -> Result<u32, ApiError> {
    let Some(instance) = caller.instance else { return Ok(0) };
    let (depth, max) = (cx.invoker.chain_depth(instance), cx.host_environment.call_depth_max);
    if depth <= max {
        return Ok(depth);
    }
    let message = format!(
        "the call is number {depth} of a chain in which functions call each other, and the chain may have {max} \
         (setting gateway.call_depth_max); does a function call itself without end?"
    );
    cx.invoker.report_chain(instance, &format!("a call by the API was refused: {message}"));
    Err(ApiError::new(ErrorCode::FAILED_INVOKE_FUNCTION, message))
}
