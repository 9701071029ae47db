//! Waits for conditions by polling.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Timeout of a condition.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Polling interval.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Polls until `look` returns a value, for at most [`WAIT_MAX`].
pub async fn until<T, F, L>(what: &str, look: L) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
    L: FnMut() -> F,
{
    until_within(WAIT_MAX, what, look).await
}

/// Polls until `look` returns a value, for at most `limit`; for conditions that need longer than
/// [`WAIT_MAX`].
pub async fn until_within<T, F, L>(limit: Duration, what: &str, mut look: L) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
    L: FnMut() -> F,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {} s for: {what}", limit.as_secs());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
