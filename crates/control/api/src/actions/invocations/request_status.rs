//! `GetRequestStatus`: the state of one run.

use logs::Query;
use types::wire::{GetRequestStatusAnswer, GetRequestStatusRequest};

use super::log_fields::request_id;
use crate::actions::Outcome;
use crate::context::{Context, now_ms};
use crate::envelope::Answer;
use crate::params::Params;
use crate::render;
use crate::validate::{filled, names, required, times};

/// Default age limit of a searched run, in milliseconds (contract 2.2).
const BACK_MS: i64 = 15 * 60 * 1000;

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: GetRequestStatusRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let id = request_id(required("FunctionRequestId", filled(request.function_request_id.as_deref()))?)?;
    let offset = cx.config.utc_offset;
    let given = times::read(request.start_time.as_deref(), request.end_time.as_deref(), offset)?;
    let span = given.of_status(now_ms(), BACK_MS)?;
    cx.require_function(&key)?;
    let query = Query {
        function: Some(key.name),
        request_id: Some(id),
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        ..Query::latest(key.namespace)
    };
    let page = cx.logs.invocations(query).await?;
    let data = page.invocations.into_iter().map(|run| render::run::status(run, offset)).collect();
    Ok(Answer::of(&GetRequestStatusAnswer { total_count: page.total, data }))
}
