//! `Invoke` and `InvokeFunction`: send one event to an event function and return its result, or
//! only its id with `InvocationType=Event`. Job images and functions created with `AsyncRunEnable`
//! always return only the id.
//!
//! A failed run is a result, not an error of the call: the answer has it in `RetMsg`, `ErrMsg` and
//! `InvokeResult`.

use bytes::Bytes;
use events::{Address, InvokeType, NewEvent};
use invoke::{EventCall, Protocol, ResolvedCall, RoutingKey, Source, Target};
use tokio::time::timeout;
use types::limits::{ASYNC_EVENT_BYTES_MAX, LOG_TAIL_BYTES, SYNC_EVENT_BYTES_MAX};
use types::wire::{InvokeAnswer, InvokeFunctionRequest, InvokeRequest, RunResult};
use types::{ApiError, ErrorCode, Qualifier, RequestId};

use super::chain;
use crate::actions::{Caller, Outcome};
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;
use crate::render;
use crate::validate::event::InvocationType;
use crate::validate::{event, invalid, names};

/// Request fields common to both actions.
struct Wanted {
    target: Target,
    payload: Bytes,
    tail: bool,
    key: RoutingKey,
}

pub(in crate::actions) async fn invoke(cx: &Context, params: Params, caller: Caller) -> Outcome {
    let request: InvokeRequest = params.read()?;
    drop(params);
    let invocation_type = event::invocation_type(request.invocation_type.as_deref())?;
    let bytes_max = match invocation_type {
        InvocationType::RequestResponse => SYNC_EVENT_BYTES_MAX,
        InvocationType::Event => ASYNC_EVENT_BYTES_MAX,
    };
    let key = event::routing_key(request.routing_key.as_deref())?;
    let wanted = Wanted {
        target: target(&request.function_name, &request.namespace, &request.qualifier, Qualifier::LATEST)?,
        payload: event::payload("ClientContext", request.client_context, bytes_max)?,
        tail: event::wants_tail(request.log_type.as_deref())?,
        key,
    };
    match invocation_type {
        InvocationType::RequestResponse => run(cx, wanted, caller).await,
        InvocationType::Event => accept(cx, wanted, caller).await,
    }
}

pub(in crate::actions) async fn invoke_function(cx: &Context, params: Params, caller: Caller) -> Outcome {
    let request: InvokeFunctionRequest = params.read()?;
    drop(params);
    let key = event::routing_key(request.routing_key.as_deref())?;
    let wanted = Wanted {
        target: target(&request.function_name, &request.namespace, &request.qualifier, names::default_alias())?,
        payload: event::payload("Event", request.event, SYNC_EVENT_BYTES_MAX)?,
        tail: event::wants_tail(request.log_type.as_deref())?,
        key,
    };
    run(cx, wanted, caller).await
}

pub(super) fn target(
    name: &Option<String>,
    namespace: &Option<String>,
    qualifier: &Option<String>,
    default: Qualifier,
) -> Result<Target, ApiError> {
    let namespace = names::namespace("Namespace", namespace.as_deref())?;
    let code = ErrorCode::INVALID_PARAMETER_FUNCTION_NAME;
    Ok(Target {
        function: names::named("FunctionName", name.as_deref(), namespace, code)?,
        qualifier: names::qualifier(qualifier.as_deref(), default)?,
    })
}

async fn run(cx: &Context, wanted: Wanted, caller: Caller) -> Outcome {
    let Wanted { target, payload, tail, key } = wanted;
    let call = resolve(cx, &target, &caller.id, &key)?;
    if call.is_asynchronous() {
        return accept_call(cx, (routed(target, &call, &key), call), payload, Some(0), caller).await;
    }
    let call = call.at_depth(chain::call_depth(cx, &caller)?).in_event(caller.event_depth);
    let id = caller.id;
    let event = EventCall { request_id: id.clone(), payload, source: Source::Api, asynchronous: None };
    let waited = timeout(cx.config.invoke_wait_max(), cx.invoker.event(call, event)).await;
    let result = waited.map_err(|_| {
        let seconds = cx.config.invoke_wait_s_max;
        let message = format!(
            "the run did not end within the {seconds} s that a call waits (api.invoke_wait_s_max); it goes on as {id}, \
             and GetInvocationResult has its answer when it has ended"
        );
        ApiError::new(ErrorCode::FAILED_INVOKE_FUNCTION, message)
    })?;
    let log = if tail { cx.logs.tail(&id, LOG_TAIL_BYTES) } else { String::new() };
    Ok(Answer::of(&InvokeAnswer { result: render::run::result(result, log) }))
}

/// Accepts an event and returns its id alone (contract 2.2); the event is durable by then.
async fn accept(cx: &Context, wanted: Wanted, caller: Caller) -> Outcome {
    let Wanted { target, payload, key, .. } = wanted;
    let call = resolve(cx, &target, &caller.id, &key)?;
    accept_call(cx, (routed(target, &call, &key), call), payload, None, caller).await
}

/// Target of an event: the version chosen by the routing key, because the key is not stored.
/// Without a key the run follows the alias.
fn routed(target: Target, call: &ResolvedCall, key: &RoutingKey) -> Target {
    match key.is_empty() {
        true => target,
        false => Target { qualifier: Qualifier::Version(call.version().key.version), ..target },
    }
}

/// Accepts an event for a resolved call; `retries_max` overrides the function's setting.
async fn accept_call(
    cx: &Context,
    (target, call): (Target, ResolvedCall),
    payload: Bytes,
    retries_max: Option<u32>,
    Caller { id, chain_depth, .. }: Caller,
) -> Outcome {
    chain::check(chain_depth, &target.function)?;
    event::check_size("the event", &payload, call.version())?;
    let function_id = call.function_id().clone();
    let config = cx.event_invoke(&target.function);
    let event = NewEvent {
        request_id: id.clone(),
        address: Address { function: target.function, function_id, qualifier: target.qualifier },
        invoke_type: InvokeType::Invoke,
        payload,
        retries_max: retries_max.unwrap_or(config.retries_max),
        ttl_s: config.ttl_s,
        delay_s: 0,
    };
    cx.events.at_depth(chain_depth).accept(event).await?;
    Ok(Answer::of(&InvokeAnswer { result: RunResult::accepted(&id) }))
}

/// Resolves a call. A function that cannot be called is an error of the API call; nothing runs.
pub(super) fn resolve(
    cx: &Context,
    target: &Target,
    id: &RequestId,
    key: &RoutingKey,
) -> Result<ResolvedCall, Failure> {
    cx.require_namespace(&target.function.namespace)?;
    let call = cx.invoker.resolve(target, id, key)?;
    if call.protocol() != Protocol::Event {
        let problem = format!(
            "function {key} is of type HTTP; send HTTP requests to the gateway address under /fn/{key}/",
            key = target.function
        );
        return Err(invalid(ErrorCode::INVALID_VALUE_FUNCTION_TYPE, "FunctionName", problem).into());
    }
    Ok(call)
}
