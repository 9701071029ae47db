//! `GetFunctionEventInvokeConfig` and `UpdateFunctionEventInvokeConfig`: retries and maximum age of
//! a function's events.

use types::wire::{FunctionEventInvokeConfigRequest, GetFunctionEventInvokeConfigAnswer};
use types::{FunctionKey, Qualifier};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;
use crate::validate::{async_events, filled, names, required};

pub(in crate::actions) async fn get(cx: &Context, params: Params) -> Outcome {
    let request: FunctionEventInvokeConfigRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let function = cx.store.function(&key).await?;
    if let Some(text) = filled(request.qualifier.as_deref()) {
        let qualifier = names::qualifier(Some(text), Qualifier::LATEST)?;
        require_qualifier(&function, &key, &qualifier)?;
    }
    let async_trigger_config = async_events::shown_config(function.event_invoke);
    Ok(Answer::of(&GetFunctionEventInvokeConfigAnswer { async_trigger_config }))
}

pub(in crate::actions) async fn update(cx: &Context, params: Params) -> Outcome {
    let request: FunctionEventInvokeConfigRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let given = required("AsyncTriggerConfig", request.async_trigger_config.as_ref())?;
    let change = async_events::config(given)?;
    cx.store.set_event_invoke(&key, move |config| change.applied_to(config)).await?;
    Ok(Answer::empty())
}

fn require_qualifier(
    function: &store::FunctionWithVersions,
    key: &FunctionKey,
    qualifier: &Qualifier,
) -> Result<(), Failure> {
    let is_there = match qualifier {
        Qualifier::Version(version) => function.versions.iter().any(|record| record.version == *version),
        Qualifier::Alias(name) => function.aliases.contains_key(name),
    };
    if is_there {
        return Ok(());
    }
    Err(store::Error::QualifierNotFound { key: key.clone(), qualifier: qualifier.clone() }.into())
}
