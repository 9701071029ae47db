//! `GetInvocationResult`: the result of an asynchronous event, or of a synchronous one whose caller
//! stopped waiting.

use events::{EventStatus, RunState};
use logs::Query;
use types::wire::{GetInvocationResultAnswer, GetInvocationResultRequest};
use types::{ApiError, ErrorCode, RequestId};

use super::log_fields::request_id;
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;
use crate::render;
use crate::validate::{filled, names, required};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: GetInvocationResultRequest = params.read()?;
    let namespace = names::namespace("Namespace", request.namespace.as_deref())?;
    let id = request_id(required("FunctionRequestId", filled(request.function_request_id.as_deref()))?)?;
    let read = |error: std::io::Error| Failure::Internal(Box::new(error));
    if let Some(result) = cx.invoker.kept_result(&id).await.map_err(read)? {
        let result = render::run::result(result, String::new());
        return Ok(Answer::of(&GetInvocationResultAnswer { result, ret_msg_bytes: None }));
    }
    if let Some(event) = cx.events.status(&id).await? {
        return of_event(cx, event).await;
    }
    let query = Query { request_id: Some(id.clone()), ..Query::latest(namespace.clone()) };
    let page = cx.logs.invocations(query).await?;
    let (code, message) = match page.invocations.first() {
        None => (ErrorCode::RESOURCE_NOT_FOUND, format!("invocation {id} is not in the log of namespace {namespace}")),
        Some(run) if !run.finished => {
            (ErrorCode::FAILED_OPERATION, format!("invocation {id} has not ended yet; try again when it has"))
        }
        Some(run) if run.status.is_none() => (
            ErrorCode::RESOURCE_NOT_FOUND,
            format!("invocation {id} has no result: the platform was stopped while it ran"),
        ),
        Some(_) => (
            ErrorCode::RESOURCE_NOT_FOUND,
            format!(
                "no result of invocation {id} is retained: its caller got it, or it is older than \
                 invoke.result_retention_s, or it made room for newer ones (invoke.results_bytes_max, \
                 invoke.results_max); GetFunctionLogs has its beginning"
            ),
        ),
    };
    Err(ApiError::new(code, message).into())
}

/// Result of an asynchronous event's last run.
async fn of_event(cx: &Context, event: EventStatus) -> Outcome {
    let id = event.request_id.clone();
    if event.state == RunState::Running {
        let message = format!("event {id} is waiting or running; request its result when it has ended");
        return Err(ApiError::new(ErrorCode::FAILED_ASYNC_EVENT_STATUS, message).into());
    }
    let ret_msg_bytes = event.result_bytes;
    let namespace = event.address.function.namespace.clone();
    let Some(result) = render::run::event_result(event) else {
        let message = format!("the result of event {id} is no longer kept: it is older than events.results_s");
        return Err(ApiError::new(ErrorCode::RESOURCE_NOT_FOUND_ASYNC_EVENT, message).into());
    };
    let result = render::run::with_usage(result, last_run(cx, namespace, id).await?);
    Ok(Answer::of(&GetInvocationResultAnswer { result, ret_msg_bytes }))
}

/// The newest run of a request id in the log.
async fn last_run(
    cx: &Context,
    namespace: types::Namespace,
    id: RequestId,
) -> Result<Option<logs::Invocation>, Failure> {
    let page = cx.logs.invocations(Query { request_id: Some(id), ..Query::latest(namespace) }).await?;
    Ok(page.invocations.into_iter().next())
}
