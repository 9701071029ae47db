//! Runs events through the invocation path.

use invoke::{Asynchronous, EventCall, EventResult, Invoker, Protocol, RoutingKey, Source, Target};
use serde_json::Value;
use types::tags;
use types::{EventInvokeConfig, FunctionId, FunctionKey, FunctionKind, RequestId, TriggerId};

use crate::delivery::Destinations;
use crate::event::{Address, InvokeType};
use crate::repeat::Repeat;
use crate::run::{Attempt, BoxFuture, Outcome, Run};
use crate::web_run;

/// Names of a version's settings for destinations.
const ON_SUCCESS: &str = "OnSuccess";
const ON_FAILURE: &str = "OnFailure";
const DEAD_LETTERS: &str = "DeadLetterConfig";

impl Run for Invoker {
    fn repeat(&self, address: &Address) -> Repeat {
        let record = self.function_record(&address.function);
        match record.filter(|record| record.id == address.function_id && record.async_run) {
            None => Repeat::Retries,
            // The API has refused invalid values.
            Some(record) if tags::rerun(&record.tags).unwrap_or(false) => Repeat::AfterCutOff,
            Some(_) => Repeat::Never,
        }
    }

    fn is_temporary(&self, of: &Address) -> bool {
        let record = self.function_record(&of.function).filter(|record| record.id == of.function_id);
        record.is_some_and(|record| tags::temporary_s(&record.tags).is_ok_and(|seconds| seconds.is_some()))
    }

    fn destinations(&self, of: &Address, event: &RequestId) -> Destinations {
        let target = Target { function: of.function.clone(), qualifier: of.qualifier.clone() };
        let Ok(call) = self.resolve(&target, event, &RoutingKey::default()) else { return Destinations::default() };
        if *call.function_id() != of.function_id {
            return Destinations::default();
        }
        let carried = &call.version().spec.carried;
        let text = |name: &str| carried.get(name)?.as_str()?.parse().ok();
        let letters = carried.get(DEAD_LETTERS).and_then(|config| {
            let field = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}:{}", field("Type"), field("Name")).parse().ok()
        });
        Destinations { on_success: text(ON_SUCCESS), on_failure: text(ON_FAILURE), dead_letters: letters }
    }

    fn trigger_concurrency(&self, of: &FunctionKey, trigger: &TriggerId) -> Option<usize> {
        self.trigger(of, trigger)?.options.concurrency.map(|runs| runs as usize)
    }

    fn takes_requests(&self, of: &FunctionKey) -> bool {
        self.function_record(of).is_some_and(|record| record.kind == FunctionKind::Http)
    }

    fn function(&self, of: &FunctionKey) -> Option<(FunctionId, EventInvokeConfig)> {
        Some((self.function_record(of)?.id.clone(), self.event_invoke(of)))
    }

    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let invoker = self.clone();
        Box::pin(async move {
            let address = attempt.address;
            let target = Target { function: address.function.clone(), qualifier: address.qualifier.clone() };
            let source = match attempt.invoke_type {
                InvokeType::Timer => Source::Timer,
                InvokeType::Invoke | InvokeType::Cos => Source::Api,
            };
            let call = match invoker.resolve(&target, &attempt.request_id, &RoutingKey::default()) {
                Ok(call) => call,
                Err(lookup) => return Outcome::unresolved(&lookup),
            };
            let asynchronous = Asynchronous {
                cancellation: attempt.cancellation,
                retry_num: attempt.retry,
                chain_depth: attempt.depth,
                attempt: attempt.attempt,
                array: attempt.array,
            };
            if call.protocol() != Protocol::Event {
                let of = web_run::Of {
                    address: &address,
                    id: attempt.request_id,
                    answer_bytes_max: attempt.answer_bytes_max,
                };
                return web_run::run(&invoker, target, of, attempt.payload, asynchronous).await;
            }
            if *call.function_id() != address.function_id {
                return Outcome::of_another(&address, call.function_id());
            }
            let event = EventCall {
                request_id: attempt.request_id,
                payload: attempt.payload,
                source,
                asynchronous: Some(asynchronous),
            };
            let EventResult { status, ret_msg, error_message, exit, retry_after, .. } =
                invoker.event(call, event).await;
            Outcome { status, ret_msg, error_message, exit, retry_after, web: None }
        })
    }
}
