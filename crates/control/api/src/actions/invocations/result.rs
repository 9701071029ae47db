//! `GetInvocationResult`: the answer of an event whose caller had stopped waiting when it ended.

use logs::Query;
use types::wire::{GetInvocationResultRequest, InvokeAnswer};
use types::{ApiError, ErrorCode};

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
        return Ok(Answer::of(&InvokeAnswer { result: render::run::result(result, String::new()) }));
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
