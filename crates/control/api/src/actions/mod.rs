//! Every action of the API with its handler, or the reason why it has none.
//!
//! Handlers are thin: `validate` parses the request, the store, the invoker or the logs execute it,
//! `render` builds the answer.

mod account;
mod aliases;
mod concurrency;
mod domains;
mod events;
mod functions;
mod invocations;
mod namespaces;
pub(crate) mod triggers;
mod unsupported;
mod versions;

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use types::{ApiError, ErrorCode, RequestId};

use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;

/// Result of a handler.
pub(crate) type Outcome = Result<Answer, Failure>;
/// A handler with its future boxed, so that all fit in one table.
type Run = for<'a> fn(&'a Context, Params, Caller) -> BoxFuture<'a, Outcome>;

/// Properties of a call that handlers need beside its parameters.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Request id of the call; also the run's id if the call starts one.
    pub id: RequestId,
    /// Host and port of the request.
    pub host: String,
    /// Length of the event chain that led to the call: 0, or one more than that of the calling run.
    pub chain_depth: u32,
    /// Address of the instance that called; `None` for callers outside.
    pub instance: Option<IpAddr>,
    /// Length of the event chain of the run in which it called, if that is an event's.
    pub event_depth: Option<u32>,
}

/// One action.
#[derive(Clone, Copy)]
pub(crate) struct Action {
    /// Its name.
    pub name: &'static str,
    /// Its handler.
    pub run: Run,
}

/// Actions with a handler.
const HANDLED: [Action; 46] = [
    Action { name: "CreateFunction", run: |cx, params, _| Box::pin(functions::create::run(cx, params)) },
    Action { name: "GetFunction", run: |cx, params, caller| Box::pin(functions::get::run(cx, params, caller)) },
    Action { name: "ListFunctions", run: |cx, params, _| Box::pin(functions::list::run(cx, params)) },
    Action { name: "DeleteFunction", run: |cx, params, _| Box::pin(functions::delete::run(cx, params)) },
    Action { name: "CopyFunction", run: |cx, params, _| Box::pin(functions::copy::run(cx, params)) },
    Action { name: "UpdateFunctionCode", run: |cx, params, _| Box::pin(functions::update_code::run(cx, params)) },
    Action {
        name: "UpdateFunctionConfiguration",
        run: |cx, params, _| Box::pin(functions::update_configuration::run(cx, params)),
    },
    Action { name: "PublishVersion", run: |cx, params, _| Box::pin(versions::publish::run(cx, params)) },
    Action { name: "ListVersionByFunction", run: |cx, params, _| Box::pin(versions::list::run(cx, params)) },
    Action { name: "DeleteFunctionVersion", run: |cx, params, _| Box::pin(versions::delete::run(cx, params)) },
    Action { name: "CreateAlias", run: |cx, params, _| Box::pin(aliases::create(cx, params)) },
    Action { name: "UpdateAlias", run: |cx, params, _| Box::pin(aliases::update(cx, params)) },
    Action { name: "GetAlias", run: |cx, params, _| Box::pin(aliases::get(cx, params)) },
    Action { name: "ListAliases", run: |cx, params, _| Box::pin(aliases::list(cx, params)) },
    Action { name: "DeleteAlias", run: |cx, params, _| Box::pin(aliases::delete(cx, params)) },
    Action { name: "CreateNamespace", run: |cx, params, _| Box::pin(namespaces::create(cx, params)) },
    Action { name: "ListNamespaces", run: |cx, params, _| Box::pin(namespaces::list(cx, params)) },
    Action { name: "UpdateNamespace", run: |cx, params, _| Box::pin(namespaces::update(cx, params)) },
    Action { name: "DeleteNamespace", run: |cx, params, _| Box::pin(namespaces::delete(cx, params)) },
    Action { name: "Invoke", run: |cx, params, caller| Box::pin(invocations::invoke::invoke(cx, params, caller)) },
    Action {
        name: "InvokeFunction",
        run: |cx, params, caller| Box::pin(invocations::invoke::invoke_function(cx, params, caller)),
    },
    Action { name: "GetFunctionLogs", run: |cx, params, _| Box::pin(invocations::function_logs::run(cx, params)) },
    Action { name: "GetRequestStatus", run: |cx, params, _| Box::pin(invocations::request_status::run(cx, params)) },
    Action {
        name: "PutReservedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::put_reserved(cx, params)),
    },
    Action {
        name: "GetReservedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::get_reserved(cx, params)),
    },
    Action {
        name: "DeleteReservedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::delete_reserved(cx, params)),
    },
    Action {
        name: "PutProvisionedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::provisioned::put(cx, params)),
    },
    Action {
        name: "GetProvisionedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::provisioned::get(cx, params)),
    },
    Action {
        name: "DeleteProvisionedConcurrencyConfig",
        run: |cx, params, _| Box::pin(concurrency::provisioned::delete(cx, params)),
    },
    Action { name: "PutTotalConcurrencyConfig", run: |cx, params, _| Box::pin(concurrency::put_total(cx, params)) },
    Action { name: "CreateCustomDomain", run: |cx, params, _| Box::pin(domains::create(cx, params)) },
    Action { name: "UpdateCustomDomain", run: |cx, params, _| Box::pin(domains::update(cx, params)) },
    Action { name: "GetCustomDomain", run: |cx, params, _| Box::pin(domains::get(cx, params)) },
    Action { name: "ListCustomDomains", run: |cx, params, _| Box::pin(domains::list(cx, params)) },
    Action { name: "DeleteCustomDomain", run: |cx, params, _| Box::pin(domains::delete(cx, params)) },
    Action { name: "CreateTrigger", run: |cx, params, caller| Box::pin(triggers::create(cx, params, caller)) },
    Action { name: "UpdateTrigger", run: |cx, params, _| Box::pin(triggers::update(cx, params)) },
    Action { name: "UpdateTriggerStatus", run: |cx, params, _| Box::pin(triggers::update_status(cx, params)) },
    Action { name: "DeleteTrigger", run: |cx, params, _| Box::pin(triggers::delete(cx, params)) },
    Action { name: "ListTriggers", run: |cx, params, caller| Box::pin(triggers::list(cx, params, caller)) },
    Action { name: "ListAsyncEvents", run: |cx, params, _| Box::pin(events::list(cx, params)) },
    Action { name: "GetAsyncEventStatus", run: |cx, params, _| Box::pin(events::status(cx, params)) },
    Action { name: "GetFunctionEventInvokeConfig", run: |cx, params, _| Box::pin(events::get_config(cx, params)) },
    Action {
        name: "UpdateFunctionEventInvokeConfig",
        run: |cx, params, _| Box::pin(events::update_config(cx, params)),
    },
    Action { name: "TerminateAsyncEvent", run: |cx, params, _| Box::pin(events::terminate(cx, params)) },
    Action { name: "GetAccount", run: |cx, params, _| Box::pin(account::run(cx, params)) },
];

/// Extensions: actions that the cloud API does not have, at a separate path so that names cannot
/// collide.
const EXTENSIONS: [Action; 6] = [
    Action { name: "GetLogLines", run: |cx, params, _| Box::pin(invocations::log_lines::run(cx, params)) },
    Action { name: "GetInvocationResult", run: |cx, params, _| Box::pin(invocations::result::run(cx, params)) },
    Action { name: "InvokeArray", run: |cx, params, caller| Box::pin(invocations::array::run(cx, params, caller.id)) },
    Action { name: "TerminateEvent", run: |cx, params, _| Box::pin(events::terminate_by_id(cx, params)) },
    Action { name: "TestTrigger", run: |cx, params, caller| Box::pin(triggers::test(cx, params, caller.id)) },
    Action { name: "GetTriggerTimes", run: |cx, params, _| Box::pin(triggers::times(cx, params)) },
];

/// Finds an extension.
///
/// # Errors
/// `InvalidAction` for all others.
pub(crate) fn find_extension(name: &str) -> Result<Action, ApiError> {
    EXTENSIONS.iter().find(|action| action.name == name).copied().ok_or_else(|| {
        let name: String = name.chars().take(100).collect();
        let names = EXTENSIONS.map(|action| action.name).join(", ");
        ApiError::new(ErrorCode::INVALID_ACTION, format!("{name:?} is not served here; there is {names}"))
    })
}

/// Finds an action.
///
/// # Errors
/// `UnsupportedOperation` for an action of the cloud API without a handler, with the alternative;
/// `InvalidAction` for unknown actions.
pub(crate) fn find(name: &str) -> Result<Action, ApiError> {
    if let Some(action) = HANDLED.iter().find(|action| action.name == name) {
        return Ok(*action);
    }
    if let Some(instead) = unsupported::instead_of(name) {
        let message = format!("{name} is not supported: {instead}");
        return Err(ApiError::new(ErrorCode::UNSUPPORTED_OPERATION, message));
    }
    let name: String = name.chars().take(100).collect();
    let message = format!("{name:?} is no action of product scf, version {}", types::wire::API_VERSION);
    Err(ApiError::new(ErrorCode::INVALID_ACTION, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actions of the official definitions (product scf, version 2018-04-16).
    const OFFICIAL: [&str; 52] = [
        "CopyFunction",
        "CreateAlias",
        "CreateCustomDomain",
        "CreateFunction",
        "CreateNamespace",
        "CreateTrigger",
        "DeleteAlias",
        "DeleteCustomDomain",
        "DeleteFunction",
        "DeleteFunctionVersion",
        "DeleteLayerVersion",
        "DeleteNamespace",
        "DeleteProvisionedConcurrencyConfig",
        "DeleteReservedConcurrencyConfig",
        "DeleteTrigger",
        "GetAccount",
        "GetAlias",
        "GetAsyncEventStatus",
        "GetCustomDomain",
        "GetFunction",
        "GetFunctionAddress",
        "GetFunctionEventInvokeConfig",
        "GetFunctionLogs",
        "GetLayerVersion",
        "GetProvisionedConcurrencyConfig",
        "GetRequestStatus",
        "GetReservedConcurrencyConfig",
        "Invoke",
        "InvokeFunction",
        "ListAliases",
        "ListAsyncEvents",
        "ListCustomDomains",
        "ListFunctions",
        "ListLayerVersions",
        "ListLayers",
        "ListNamespaces",
        "ListTriggers",
        "ListVersionByFunction",
        "PublishLayerVersion",
        "PublishVersion",
        "PutProvisionedConcurrencyConfig",
        "PutReservedConcurrencyConfig",
        "PutTotalConcurrencyConfig",
        "TerminateAsyncEvent",
        "UpdateAlias",
        "UpdateCustomDomain",
        "UpdateFunctionCode",
        "UpdateFunctionConfiguration",
        "UpdateFunctionEventInvokeConfig",
        "UpdateNamespace",
        "UpdateTrigger",
        "UpdateTriggerStatus",
    ];

    #[test]
    fn the_table_has_the_official_actions_and_no_other() {
        let handled = HANDLED.iter().map(|action| action.name);
        let mut all: Vec<&str> = handled.chain(unsupported::names()).collect();
        all.sort_unstable();
        assert_eq!(all, OFFICIAL);
    }

    #[test]
    fn an_action_without_a_handler_says_what_to_use_instead() {
        let error = find("PublishLayerVersion").err().expect("not answered");
        assert_eq!(error.code.name, "UnsupportedOperation");
        assert!(error.message.starts_with("PublishLayerVersion is not supported: "), "{}", error.message);
    }

    #[test]
    fn what_is_no_action_is_said_to_be_none() {
        for name in ["", "invoke", "DescribeInstances", "é".repeat(500).as_str()] {
            assert_eq!(find(name).err().expect("no action").code.name, "InvalidAction");
        }
    }
}
