//! Actions on triggers.

mod urls;
mod wire;

use std::sync::Arc;

use events::{Address, NewEvent, WebRequest};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use sources::{Occurrence, Source};
use store::{NewTrigger, TriggerChange, TriggerName};
use types::wire::{InvokeAnswer, RunResult};
use types::{ApiError, CatalogFunction, ErrorCode, FunctionKey, FunctionKind, Qualifier, RequestId, Trigger};

pub(crate) use self::urls::Urls;
pub(crate) use self::wire::shown;
use self::wire::{ListTriggersAnswer, ListTriggersRequest, TimesAnswer, TriggerAnswer, TriggerRequest};
use super::{Caller, Outcome};
use crate::context::{Context, now_ms};
use crate::envelope::Answer;
use crate::failure::Failure;
use crate::params::Params;
use crate::validate::{filled, invalid, names, paging, required, scalars, triggers};

/// Sort keys of a list.
const ORDERS: [(&str, Time); 2] =
    [("mod_time", |trigger: &Trigger| trigger.modified_ms), ("add_time", |trigger: &Trigger| trigger.added_ms)];
type Time = fn(&Trigger) -> i64;

/// The trigger that a request names.
struct Named<'a> {
    key: FunctionKey,
    name: TriggerName,
    source: &'a dyn Source,
}

fn named<'a>(cx: &'a Context, request: &TriggerRequest) -> Result<Named<'a>, ApiError> {
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let name_len_max = cx.sources.config().name_len_max;
    let name = triggers::name(request.trigger_name.as_deref(), name_len_max)?;
    let source = cx.sources.find(required("Type", filled(request.r#type.as_deref()))?)?;
    let qualifier = names::qualifier(request.qualifier.as_deref(), Qualifier::LATEST)?;
    Ok(Named { key, name: TriggerName { kind: source.kind().to_owned(), name, qualifier }, source })
}

/// `CreateTrigger`.
pub(super) async fn create(cx: &Context, params: Params, caller: Caller) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, source } = named(cx, &request)?;
    require_kind(cx, &key, source)?;
    let config = cx.sources.config();
    let text = request.trigger_desc.as_deref().unwrap_or_default();
    let (desc, options) = sources::description::read(source, text, config.desc_bytes_max, now_ms())?;
    let argument = request.custom_argument.as_deref().unwrap_or_default();
    let new = NewTrigger {
        key,
        name,
        desc,
        options,
        enabled: triggers::enable(request.enable.as_deref())?.unwrap_or(true),
        custom_argument: triggers::custom_argument(source, argument, config.custom_argument_bytes_max)?,
        description: scalars::description(request.description.as_deref().unwrap_or_default())?,
    };
    require_server(cx, &new)?;
    require_one_url(cx, &new)?;
    let key = new.key.clone();
    let trigger = cx.store.create_trigger(new).await?;
    let function = function(cx, &key)?;
    let urls = Urls::of(&cx.host_environment.gateway, &function, &caller.host);
    Ok(Answer::of(&TriggerAnswer { trigger_info: shown(&cx.sources, &trigger, cx.config.utc_offset, &urls) }))
}

/// Refuses a URL of a job image: calls need a server.
fn require_server(cx: &Context, new: &NewTrigger) -> Result<(), ApiError> {
    let catalog = cx.store.catalog().load_full();
    let Some(function) = catalog.functions.get(&new.key).filter(|_| new.name.kind == "http") else { return Ok(()) };
    let versions = match &new.name.qualifier {
        Qualifier::Version(version) => vec![*version],
        Qualifier::Alias(name) => function.aliases.get(name).map_or(Vec::new(), |alias| alias.versions().collect()),
    };
    let is_job = |version| function.versions.get(version).is_some_and(|version| version.spec.image.is_job());
    if !versions.iter().any(is_job) {
        return Ok(());
    }
    let problem = format!(
        "{} of function {} is a job image (ImagePort -1), which has no server to call; start it with `sampan job run` \
         or a trigger that makes events",
        new.name.qualifier, new.key
    );
    Err(invalid(ErrorCode::UNSUPPORTED_TRIGGER, "Type", problem))
}

/// Refuses a second URL for a version or alias (contract 4.11): one could allow access that the
/// other denies.
fn require_one_url(cx: &Context, new: &NewTrigger) -> Result<(), ApiError> {
    let catalog = cx.store.catalog().load_full();
    let same = |trigger: &&Arc<Trigger>| {
        trigger.kind == new.name.kind && trigger.qualifier == new.name.qualifier && trigger.name != new.name.name
    };
    let function = catalog.functions.get(&new.key);
    match function.and_then(|function| function.triggers.iter().find(same)) {
        Some(other) if new.name.kind == "http" => {
            let message = format!("{} has the URL {} already; update or delete it", new.name.qualifier, other.name);
            Err(ApiError::new(ErrorCode::RESOURCE_IN_USE_TRIGGER_NAME, message))
        }
        _ => Ok(()),
    }
}

/// `UpdateTrigger`: omitted fields are unchanged.
pub(super) async fn update(cx: &Context, params: Params) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, source } = named(cx, &request)?;
    let config = cx.sources.config();
    let desc = match filled(request.trigger_desc.as_deref()) {
        None => None,
        Some(text) => Some(sources::description::changed(text, &find(cx, &key, &name)?.1)),
    };
    let desc = desc.as_deref();
    let argument = request.custom_argument.as_deref();
    let change = TriggerChange {
        desc: desc.map(|text| sources::description::read(source, text, config.desc_bytes_max, now_ms())).transpose()?,
        enabled: triggers::enable(request.enable.as_deref())?,
        custom_argument: argument
            .map(|text| triggers::custom_argument(source, text, config.custom_argument_bytes_max))
            .transpose()?,
        description: request.description.as_deref().map(scalars::description).transpose()?,
    };
    cx.store.change_trigger(&key, &name, change).await?;
    Ok(Answer::empty())
}

/// `UpdateTriggerStatus`.
pub(super) async fn update_status(cx: &Context, params: Params) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, .. } = named(cx, &request)?;
    let enabled = required("Enable", triggers::enable(request.enable.as_deref())?)?;
    let (_, trigger) = find(cx, &key, &name)?;
    if trigger.enabled == enabled {
        let state = if enabled { "OPEN" } else { "CLOSE" };
        let message = format!("Enable: the {name} of function {key} is {state} already");
        return Err(ApiError::new(ErrorCode::FAILED_UPDATE_TRIGGER_STATUS, message).into());
    }
    let change = TriggerChange { enabled: Some(enabled), ..TriggerChange::default() };
    cx.store.change_trigger(&key, &name, change).await?;
    Ok(Answer::empty())
}

/// `DeleteTrigger`.
pub(super) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, .. } = named(cx, &request)?;
    cx.store.delete_trigger(&key, &name).await?;
    Ok(Answer::empty())
}

/// `ListTriggers`.
pub(super) async fn list(cx: &Context, params: Params, caller: Caller) -> Outcome {
    let request: ListTriggersRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let page = paging::page(request.offset, request.limit, cx.config.page_len_max)?;
    let descending = paging::descending(request.order.as_deref())?;
    let time = paging::order_by("OrderBy", request.order_by.as_deref(), &ORDERS)?;
    let filters = request.filters.unwrap_or_default();
    let filters = triggers::filters(&filters)?;
    let function = function(cx, &key)?;
    let mut matching: Vec<&Arc<Trigger>> =
        function.triggers.iter().filter(|trigger| triggers::meets_all(trigger, &filters)).collect();
    matching.sort_by_key(|trigger| if descending { -time(trigger) } else { time(trigger) });
    let total_count = matching.len();
    let urls = Urls::of(&cx.host_environment.gateway, &function, &caller.host);
    let shown = |trigger: &Arc<Trigger>| shown(&cx.sources, trigger, cx.config.utc_offset, &urls);
    let triggers = page.cut(matching).into_iter().map(shown).collect();
    Ok(Answer::of(&ListTriggersAnswer { total_count, triggers }))
}

/// `TestTrigger`: makes one event now, marked as a test.
pub(super) async fn test(cx: &Context, params: Params, id: RequestId) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, source } = named(cx, &request)?;
    let (function, trigger) = find(cx, &key, &name)?;
    let event = source.event(&trigger, &Occurrence::Test { at_ms: now_ms(), function: key.clone() })?;
    let payload = match function.record.kind {
        FunctionKind::Event => event,
        FunctionKind::Http => {
            let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
            WebRequest::of_event(HeaderMap::from_iter([json]), event).to_bytes()
        }
    };
    let event = NewEvent {
        request_id: id.clone(),
        address: Address {
            function: key,
            function_id: function.record.id.clone(),
            qualifier: trigger.qualifier.clone(),
        },
        invoke_type: source.invoke_type(),
        payload,
        retries_max: function.event_invoke.retries_max,
        ttl_s: trigger.options.max_age_s.unwrap_or(function.event_invoke.ttl_s),
        delay_s: 0,
    };
    cx.events.accept_of_trigger(event, &trigger.id, None).await?;
    Ok(Answer::of(&InvokeAnswer { result: RunResult::accepted(&id) }))
}

/// `GetTriggerTimes`: the next times at which the trigger makes events.
pub(super) async fn times(cx: &Context, params: Params) -> Outcome {
    let request: TriggerRequest = params.read()?;
    let Named { key, name, source } = named(cx, &request)?;
    let page = paging::page(None, request.limit, cx.config.page_len_max)?;
    let (_, trigger) = find(cx, &key, &name)?;
    let after_ms = now_ms();
    let times = source.next(&trigger, after_ms, page.limit as usize).ok_or_else(|| {
        let problem = format!("triggers of type {} make events of what happens, not at times", name.kind);
        invalid(ErrorCode::UNSUPPORTED_TRIGGER, "Type", problem)
    })?;
    let text = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or(String::new(), |time| time.to_string());
    Ok(Answer::of(&TimesAnswer { times: times.into_iter().map(text).collect() }))
}

fn function(cx: &Context, key: &FunctionKey) -> Result<Arc<CatalogFunction>, Failure> {
    cx.require_namespace(&key.namespace)?;
    let found = cx.store.catalog().load().functions.get(key).cloned();
    found.ok_or_else(|| store::Error::FunctionNotFound { key: key.clone() }.into())
}

fn find(cx: &Context, key: &FunctionKey, name: &TriggerName) -> Result<(Arc<CatalogFunction>, Arc<Trigger>), Failure> {
    let function = function(cx, key)?;
    let found = function
        .triggers
        .iter()
        .find(|trigger| trigger.kind == name.kind && trigger.name == name.name && trigger.qualifier == name.qualifier);
    match found.cloned() {
        Some(trigger) => Ok((function, trigger)),
        None => Err(store::Error::TriggerNotFound { key: key.clone(), name: name.clone() }.into()),
    }
}

/// Refuses triggers that make events for a web function, which accepts none.
fn require_kind(cx: &Context, key: &FunctionKey, source: &dyn Source) -> Result<(), Failure> {
    if function(cx, key)?.record.kind == FunctionKind::Event || source.suits_web_functions() {
        return Ok(());
    }
    let problem = format!("function {key} is of type HTTP and takes no events; {} triggers make events", source.kind());
    Err(invalid(ErrorCode::UNSUPPORTED_TRIGGER, "Type", problem).into())
}
