//! Limits of an upstream request: the deadline of its invocation, and the end of its instance.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use pool::{ExitStatus, Instance};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::UpstreamError;
use super::state::UpstreamState;
use crate::cancellation::Cancellation;

/// Why an upstream request stopped without a complete response.
pub(crate) enum Stopped {
    TimedOut,
    Ended(ExitStatus),
    Failed(UpstreamError),
    Canceled(Cancellation),
}

/// Runs `work` until it is done, `deadline` passes or the instance ends. An instance may end on
/// purpose once it has responded, so `work` gets `exit_wait_max` longer then.
pub(crate) async fn guarded<T>(
    instance: &Instance<UpstreamState>,
    deadline: Instant,
    exit_wait_max: Duration,
    work: impl Future<Output = Result<T, UpstreamError>>,
) -> Result<T, Stopped> {
    let mut work = pin!(work);
    // A server that sends without a pause uses up the task's cooperative budget, and a timer would
    // then not be polled.
    let deadline = tokio::task::unconstrained(sleep_until(deadline));
    let ended = tokio::select! {
        biased;
        done = &mut work => return done.map_err(Stopped::Failed),
        () = deadline => return Err(Stopped::TimedOut),
        ended = instance.process.ended() => ended,
    };
    match timeout(exit_wait_max, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(unreachable @ UpstreamError::Unreachable { .. })) => Err(Stopped::Failed(unreachable)),
        Ok(Err(_)) | Err(_) => Err(Stopped::Ended(ended)),
    }
}
