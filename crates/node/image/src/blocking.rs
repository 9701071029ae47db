//! Blocking work, on threads made for it.

use crate::Error;

/// Runs `work` where it may block. A caller that goes away does not stop it.
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
