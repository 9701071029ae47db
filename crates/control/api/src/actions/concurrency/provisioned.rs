//! Actions on instances of published versions that are kept ready.

use invoke::{ProvisionedState, ProvisionedStatus};
use types::limits::PROVISIONED_MAX;
use types::{ApiError, ErrorCode, FunctionKey, ProvisionedSpec, Qualifier, VersionName};

use super::wire::{ProvisionedAnswer, ProvisionedRequest, VersionProvisioned};
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{filled, invalid, names, required};

/// What `ProvisionedType` may say: as many as the number says.
const FIXED: &str = "Default";

/// `PutProvisionedConcurrencyConfig`.
pub(in crate::actions) async fn put(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let version = published(required("Qualifier", filled(request.qualifier.as_deref()))?)?;
    only_fixed(&request)?;
    let wanted = required("VersionProvisionedConcurrencyNum", request.version_provisioned_concurrency_num)?;
    let number = u32::try_from(wanted).ok().filter(|number| *number <= PROVISIONED_MAX).ok_or_else(|| {
        let problem = format!("{wanted} is not between 0 and {PROVISIONED_MAX}");
        invalid(ErrorCode::LIMIT_PROVISIONED_NUMBER, "VersionProvisionedConcurrencyNum", problem)
    })?;
    let spec = (number > 0).then(|| ProvisionedSpec { number, tracking: None, actions: Vec::new() });
    cx.store.provision(&key, version, spec, super::limit(cx.invoker.usage().memory_mb_max)).await?;
    Ok(Answer::empty())
}

/// `DeleteProvisionedConcurrencyConfig`: from now on instances of the version come and go with its requests.
pub(in crate::actions) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let version = published(required("Qualifier", filled(request.qualifier.as_deref()))?)?;
    cx.store.provision(&key, version, None, None).await?;
    Ok(Answer::empty())
}

/// `GetProvisionedConcurrencyConfig`: of one version or of all that have some.
pub(in crate::actions) async fn get(cx: &Context, params: Params) -> Outcome {
    let request: ProvisionedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let function = cx.store.function(&key).await?;
    let only = filled(request.qualifier.as_deref()).map(published).transpose()?.map(VersionName::Number);
    if let Some(version) = only.filter(|version| function.version(*version).is_none()) {
        return Err(store::Error::VersionNotFound { key, version }.into());
    }
    let states = cx.invoker.provisioned(&key);
    let allocated = states.into_iter().filter(|state| only.is_none_or(|version| version == state.version));
    Ok(Answer::of(&ProvisionedAnswer {
        unallocated_concurrency_num: unallocated(cx, &key, function.latest().desired.memory_mb),
        allocated: allocated.map(shown).collect(),
    }))
}

/// Only published versions keep what they are.
fn published(text: &str) -> Result<u32, ApiError> {
    match names::qualifier(Some(text), Qualifier::LATEST)? {
        Qualifier::Version(VersionName::Number(number)) => Ok(number),
        _ => {
            let problem = format!("{text} is no published version; publish one with PublishVersion");
            Err(invalid(ErrorCode::INVALID_VALUE_QUALIFIER, "Qualifier", problem))
        }
    }
}

/// Refuses what is not there rather than to do something else.
fn only_fixed(request: &ProvisionedRequest) -> Result<(), ApiError> {
    let unsupported = |field: &str, what: &str| {
        let message =
            format!("{field}: {what} are not there yet; give the number of instances and change it when needed");
        Err(ApiError::new(ErrorCode::UNSUPPORTED_OPERATION, message))
    };
    if request.trigger_actions.as_ref().is_some_and(|actions| !actions.is_empty()) {
        return unsupported("TriggerActions", "scheduled numbers");
    }
    match filled(request.provisioned_type.as_deref()) {
        None | Some(FIXED) => Ok(()),
        Some(_) => unsupported("ProvisionedType", "numbers that follow the load"),
    }
}

/// How many more instances of this memory size could be kept ready within the quota that the function is under.
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

fn shown(state: ProvisionedState) -> VersionProvisioned {
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
        trigger_actions: [],
    }
}
