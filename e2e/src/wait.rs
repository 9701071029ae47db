//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Longest wait of any condition in a test.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `look` finds something, at most [`WAIT_MAX`].
pub async fn until<T, F, L>(what: &str, mut look: L) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
    L: FnMut() -> F,
{
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {} s for: {what}", WAIT_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
