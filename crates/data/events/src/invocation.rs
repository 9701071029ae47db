//! Runs events through the invocation path.

use invoke::{EventCall, EventResult, Invoker, RoutingKey, Source, Target};
use types::RunStatus;
use types::catalog::Lookup;

use crate::event::InvokeType;
use crate::run::{Attempt, BoxFuture, Outcome, Run};

impl Run for Invoker {
    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let invoker = self.clone();
        Box::pin(async move {
            let target = Target { function: attempt.address.function, qualifier: attempt.address.qualifier };
            let source = match attempt.invoke_type {
                InvokeType::Timer => Source::Timer,
                InvokeType::Invoke | InvokeType::Cos => Source::Api,
            };
            let call = match invoker.resolve(&target, &attempt.request_id, &RoutingKey::default()) {
                Ok(call) => call,
                Err(lookup) => return unresolved(&lookup),
            };
            if *call.function_id() != attempt.address.function_id {
                return unresolved(&Lookup::NoFunction(target.function));
            }
            let event = EventCall { request_id: attempt.request_id, payload: attempt.payload, source };
            let EventResult { status, ret_msg, error_message, .. } = invoker.event(call, event).await;
            // The headers of an event function's answer are not kept, so it cannot ask for a pause.
            Outcome { status, ret_msg, error_message, retry_after: None }
        })
    }
}

/// A run that did not begin because the call leads nowhere.
fn unresolved(lookup: &Lookup) -> Outcome {
    let status = match lookup {
        Lookup::NoFunction(_) => RunStatus::FunctionNotFound,
        Lookup::NoQualifier(..) => RunStatus::QualifierNotFound,
        Lookup::NotCallable(..) => RunStatus::FunctionStatusError,
    };
    Outcome { status, ret_msg: String::new(), error_message: Some(lookup.to_string()), retry_after: None }
}
