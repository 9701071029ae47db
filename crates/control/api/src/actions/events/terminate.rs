//! `TerminateAsyncEvent`: ends a waiting or running event.

use types::wire::TerminateAsyncEventRequest;

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;
use crate::validate::async_events::request_id;
use crate::validate::{filled, names, required};

pub(in crate::actions) async fn terminate(cx: &Context, params: Params) -> Outcome {
    let request: TerminateAsyncEventRequest = params.read()?;
    let function = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let id = cx.function_id(&function)?;
    end(cx, &request, Some((function, id))).await
}

/// `TerminateEvent`, an extension: the same by the event's id alone.
pub(in crate::actions) async fn terminate_by_id(cx: &Context, params: Params) -> Outcome {
    end(cx, &params.read()?, None).await
}

async fn end(
    cx: &Context,
    request: &TerminateAsyncEventRequest,
    of: Option<(types::FunctionKey, types::FunctionId)>,
) -> Outcome {
    let id = request_id(required("InvokeRequestId", filled(request.invoke_request_id.as_deref()))?)?;
    let graceful = request.grace_shutdown.unwrap_or(false);
    cx.events.terminate(&id, of, graceful).await.map_err(Failure::from)?;
    Ok(Answer::empty())
}
