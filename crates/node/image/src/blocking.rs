//! Blocking work on the runtime's blocking threads.

use crate::Error;

/// Runs `work` on a thread that may block. It completes even if the caller is dropped.
pub(crate) async fn run<T: Send + 'static, E: Into<Error> + Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(E::into),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(content_store::Error::Interrupted { operation }.into()),
    }
}
