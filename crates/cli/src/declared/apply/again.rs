//! Retries of steps that conflict with a concurrent change, by another deploy or a user. Each
//! attempt reads the current state again.

use std::time::Duration;

use types::ErrorCode;

use crate::failure::Failure;

/// Most attempts of a step.
const TRIES: u32 = 5;
/// Pause after the first attempt; it grows by this after each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// HTTP status of a conflict.
const CONFLICT: u16 = 409;

/// Remedy after the last attempt.
pub(super) const HINT: &str = "If something else changes it at the same time, deploy again when that is over.";

/// Runs a step, which begins by reading the current state, and retries it on conflicts.
pub(super) async fn again<T>(step: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for tried in 1..TRIES {
        match step().await {
            Err(error) if is_conflict(&error) => tokio::time::sleep(PAUSE * tried).await,
            done => return done,
        }
    }
    step().await.map_err(|error| match is_conflict(&error) && !is_missing(&error) {
        true => Failure::of(&error).with_hint(HINT).into(),
        false => error,
    })
}

/// Whether a function does not exist: deleted meanwhile, or not yet created.
fn is_missing(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Failure>().and_then(Failure::api_code);
    code == Some(ErrorCode::RESOURCE_NOT_FOUND_FUNCTION.name)
}

/// Whether the state has changed since it was read: created, deleted, or a change in progress.
fn is_conflict(error: &anyhow::Error) -> bool {
    let Some(code) = error.downcast_ref::<Failure>().and_then(Failure::api_code) else { return false };
    let waits = ErrorCode::by_name(code).is_some_and(|code| code.retryable && code.http_status == CONFLICT);
    waits || code.starts_with(ErrorCode::RESOURCE_IN_USE.name) || is_missing(error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::failure::Exit;

    fn failure(code: &str) -> anyhow::Error {
        Failure::new(Exit::Failed, "refused", "").with_api_code(code.to_owned()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_done_again_until_nothing_comes_in_between() {
        for (code, conflicts, tries) in [
            ("ResourceInUse.Alias", 2, 3),
            ("ResourceNotFound.Function", 1, 2),
            ("ResourceNotFound.Function", 9, 5),
            ("FailedOperation.UpdateFunctionCode", 4, 5),
            ("FailedOperation.PublishVersion", 9, 5),
            ("InvalidParameterValue", 9, 1),
            ("ResourceNotFound.FunctionVersion", 9, 1),
        ] {
            let done = Cell::new(0);
            let step = async || {
                done.set(done.get() + 1);
                if done.get() <= conflicts { Err(failure(code)) } else { Ok(()) }
            };
            let ended = again(step).await;
            assert_eq!((done.get(), ended.is_ok()), (tries, tries > conflicts), "{code}");
            let hint = ended.err().map(|error| Failure::of(&error).hint().to_owned());
            assert!(hint.is_none_or(|hint| (hint == HINT) == (code == "FailedOperation.PublishVersion")), "{code}");
        }
    }
}
