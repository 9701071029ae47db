//! Actions on provisioned concurrency: instances of published versions that are kept ready.

use invoke::{ProvisionedState, ProvisionedStatus};
use types::{ApiError, ErrorCode, FunctionKey, ProvisionedSpec, Qualifier, ScheduledAction, VersionName};

use super::wire::{ProvisionedAnswer, ProvisionedRequest, TriggerAction, VersionProvisioned};
use crate::actions::Outcome;
use crate::context::{Context, now_ms};
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::provisioned::{self, Given};
use crate::validate::{filled, invalid, names, required};

/// `PutProvisionedConcurrencyConfig`.
pub(in crate::actions) async fn put(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let version = published(required("Qualifier", filled(request.qualifier.as_deref()))?)?;
    let given = Given {
        number: request.version_provisioned_concurrency_num,
        provisioned_type: request.provisioned_type.as_deref(),
        target: request.tracking_target,
        min: request.min_capacity,
        max: request.max_capacity,
        actions: request.trigger_actions.as_deref().unwrap_or_default(),
    };
    let function = cx.store.function(&key).await?;
    if function.version(VersionName::Number(version)).is_some_and(|version| version.desired.image.is_job()) {
        let problem =
            "the version is a job image (ImagePort -1), whose instances start with the event that they are for";
        return Err(invalid(ErrorCode::INVALID_VALUE, "Qualifier", problem).into());
    }
    let spec = provisioned::spec(&given, now_ms(), cx.config.utc_offset.seconds())?;
    cx.store.provision(&key, version, spec, super::limit(cx.invoker.usage().memory_mb_max)).await?;
    Ok(Answer::empty())
}

/// `DeleteProvisionedConcurrencyConfig`: the version's instances follow its requests again.
pub(in crate::actions) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let version = published(required("Qualifier", filled(request.qualifier.as_deref()))?)?;
    cx.store.provision(&key, version, None, None).await?;
    Ok(Answer::empty())
}

/// `GetProvisionedConcurrencyConfig`: one version, or all with provisioned concurrency.
pub(in crate::actions) async fn get(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let function = cx.store.function(&key).await?;
    let only = filled(request.qualifier.as_deref()).map(published).transpose()?.map(VersionName::Number);
    if let Some(version) = only.filter(|version| function.version(*version).is_none()) {
        return Err(store::Error::VersionNotFound { key, version }.into());
    }
    let catalog = cx.store.catalog().load_full();
    let specs = catalog.functions.get(&key).map(|function| &function.provisioned);
    let states = cx.invoker.provisioned(&key);
    let allocated = states.into_iter().filter(|state| only.is_none_or(|version| version == state.version));
    let with_spec = |state: ProvisionedState| {
        let spec = specs.and_then(|specs| specs.get(&state.version)).map(|spec| &**spec);
        shown(state, spec)
    };
    Ok(Answer::of(&ProvisionedAnswer {
        unallocated_concurrency_num: unallocated(cx, &key, function.latest().desired.memory_mb),
        allocated: allocated.map(with_spec).collect(),
    }))
}

/// Only published versions are immutable, so only they can be provisioned.
fn published(text: &str) -> Result<u32, ApiError> {
    match names::qualifier(Some(text), Qualifier::LATEST)? {
        Qualifier::Version(VersionName::Number(number)) => Ok(number),
        _ => {
            let problem = format!("{text} is no published version; publish one with PublishVersion");
            Err(invalid(ErrorCode::INVALID_VALUE_QUALIFIER, "Qualifier", problem))
        }
    }
}

/// Number of further instances of this memory size that fit into the quota of the function.
fn unallocated(cx: &Context, key: &FunctionKey, memory_mb: u32) -> u64 {
    let (usage, catalog) = (cx.invoker.usage(), cx.store.catalog().load_full());
    let taken = |of_this: bool| {
        let states = usage.provisioned.iter().filter(|state| {
            let own_quota = catalog.functions.get(&state.function).is_some_and(|other| other.reserved_mb.is_some());
            if of_this { state.function == *key } else { !own_quota }
        });
        states.map(|state| u64::from(state.wanted) * u64::from(state.memory_mb)).sum::<u64>()
    };
    let room_mb = match catalog.functions.get(key).and_then(|function| function.reserved_mb) {
        Some(own_mb) => own_mb.saturating_sub(taken(true)),
        None => usage.memory_mb_max.saturating_sub(usage.reserved_mb).saturating_sub(taken(false)),
    };
    room_mb / u64::from(memory_mb.max(1))
}

fn shown(state: ProvisionedState, spec: Option<&ProvisionedSpec>) -> VersionProvisioned {
    let tracking = spec.and_then(|spec| spec.tracking.as_ref());
    VersionProvisioned {
        qualifier: state.version.to_string(),
        allocated_provisioned_concurrency_num: state.wanted,
        available_provisioned_concurrency_num: state.ready,
        status: match state.status {
            ProvisionedStatus::Done => "Done",
            ProvisionedStatus::InProgress => "InProgress",
            ProvisionedStatus::Failed => "Failed",
        },
        status_reason: state.reason.unwrap_or_default(),
        trigger_actions: spec.map_or_else(Vec::new, |spec| spec.actions.iter().map(shown_action).collect()),
        provisioned_type: if tracking.is_some() { provisioned::TRACKING } else { provisioned::FIXED },
        tracking_target: tracking.map(|tracking| tracking.target.fraction()),
        min_capacity: tracking.map(|tracking| tracking.min),
        max_capacity: tracking.map(|tracking| tracking.max),
    }
}

fn shown_action(action: &ScheduledAction) -> TriggerAction {
    TriggerAction {
        trigger_name: action.name.clone(),
        trigger_provisioned_concurrency_num: action.number,
        trigger_cron_config: action.cron.clone(),
        provisioned_type: action.provisioned_type.clone(),
    }
}
