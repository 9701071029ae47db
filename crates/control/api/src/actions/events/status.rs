//! `GetAsyncEventStatus`: the state of one event.

use events::RunState;
use types::wire::{AsyncEventStatus, GetAsyncEventStatusAnswer, GetAsyncEventStatusRequest, Retry};
use types::{ApiError, ErrorCode, RunStatus};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::async_events::request_id;
use crate::validate::{filled, required};

pub(in crate::actions) async fn status(cx: &Context, params: Params) -> Outcome {
    let request: GetAsyncEventStatusRequest = params.read()?;
    let id = request_id(required("InvokeRequestId", filled(request.invoke_request_id.as_deref()))?)?;
    let Some(event) = cx.events.status(&id).await? else {
        let message = events::Error::NotFound(id).to_string();
        return Err(ApiError::new(ErrorCode::RESOURCE_NOT_FOUND_ASYNC_EVENT, message).into());
    };
    let ended = event.state != RunState::Running;
    let failed = event.status.zip(event.next_ms).filter(|_| !ended);
    let retry = failed.map(|(status, next_run_ms)| Retry {
        status_code: status.code(),
        error_message: event.result.clone(),
        next_run_ms,
    });
    Ok(Answer::of(&GetAsyncEventStatusAnswer {
        result: AsyncEventStatus {
            status: event.state.as_str().to_owned(),
            status_code: event.status.filter(|_| ended).map_or(0, RunStatus::code),
            invoke_request_id: event.request_id.to_string(),
            attempts: event.attempts,
            retry,
            exit_code: event.exit.and_then(|exit| exit.code),
            exit_signal: event.exit.and_then(|exit| exit.signal),
            out_of_memory: event.exit.map(|exit| exit.out_of_memory),
            error_message: event.result.filter(|_| event.state == RunState::Failed),
        },
    }))
}
