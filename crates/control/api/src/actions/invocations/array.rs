//! `InvokeArray`, an extension: one event of a job image many times; the environment of each
//! instance has its array index.

use events::{Address, InvokeType, NewEvent};
use invoke::RoutingKey;
use serde::{Deserialize, Serialize};
use types::limits::{ARRAY_BYTES_MAX, ARRAY_SIZE_MAX, ASYNC_EVENT_BYTES_MAX};
use types::{ErrorCode, Qualifier, RequestId};

use super::invoke::{resolve, target};
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{event, invalid, required};

/// `InvokeArray`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InvokeArrayRequest {
    /// Name, required.
    function_name: Option<String>,
    namespace: Option<String>,
    qualifier: Option<String>,
    /// The event, JSON text.
    client_context: Option<String>,
    /// Number of events, required.
    count: Option<u32>,
}

/// Answer of `InvokeArray`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InvokeArrayAnswer {
    /// Request ids, in order of array index.
    function_request_ids: Vec<RequestId>,
}

pub(in crate::actions) async fn run(cx: &Context, params: Params, id: RequestId) -> Outcome {
    let request: InvokeArrayRequest = params.read()?;
    let target = target(&request.function_name, &request.namespace, &request.qualifier, Qualifier::LATEST)?;
    let payload = event::payload("ClientContext", request.client_context, ASYNC_EVENT_BYTES_MAX)?;
    let count = required("Count", request.count)?;
    let refused = |problem: String| Err(invalid(ErrorCode::INVALID_VALUE, "Count", problem).into());
    if !(1..=ARRAY_SIZE_MAX).contains(&count) {
        return refused(format!("{count} is not between 1 and {ARRAY_SIZE_MAX}"));
    }
    let bytes = payload.len() * count as usize;
    if bytes > ARRAY_BYTES_MAX {
        return refused(format!("the events have {bytes} bytes together; at most {ARRAY_BYTES_MAX} are allowed"));
    }
    let call = resolve(cx, &target, &id, &RoutingKey::default())?;
    if !call.version().spec.image.is_job() {
        let problem =
            format!("function {} is no job image (ImagePort -1), whose instances have a place", target.function);
        return Err(invalid(ErrorCode::INVALID_VALUE_FUNCTION_TYPE, "FunctionName", problem).into());
    }
    event::check_size("the event", &payload, call.version())?;
    let (function_id, config) = (call.function_id().clone(), cx.event_invoke(&target.function));
    let event = NewEvent {
        request_id: id,
        address: Address { function: target.function, function_id, qualifier: target.qualifier },
        invoke_type: InvokeType::Invoke,
        payload,
        retries_max: config.retries_max,
        ttl_s: config.ttl_s,
        delay_s: 0,
    };
    let function_request_ids = cx.events.accept_array(event, count).await?;
    Ok(Answer::of(&InvokeArrayAnswer { function_request_ids }))
}
