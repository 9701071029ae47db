//! Request and answer types of the actions on triggers. Every request field is optional, so that
//! validation can name the missing one.

use serde::{Deserialize, Serialize};
use sources::{Sources, description};
use types::wire::Filter;
use types::{RouteBy, Trigger, UtcOffset};

use super::urls::Urls;

/// `CreateTrigger`, `UpdateTrigger`, `UpdateTriggerStatus`, `DeleteTrigger`, and the extensions
/// `TestTrigger` and `GetTriggerTimes`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TriggerRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
    pub trigger_name: Option<String>,
    pub r#type: Option<String>,
    pub trigger_desc: Option<String>,
    pub enable: Option<String>,
    pub custom_argument: Option<String>,
    pub description: Option<String>,
    /// Used by `GetTriggerTimes`.
    pub limit: Option<i64>,
}

/// `ListTriggers`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTriggersRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub offset: Option<i64>,
    pub limit: Option<i64>,
    pub order_by: Option<String>,
    pub order: Option<String>,
    pub filters: Option<Vec<Filter>>,
}

/// Answer of `CreateTrigger`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TriggerAnswer {
    pub trigger_info: TriggerInfo,
}

/// Answer of `ListTriggers`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTriggersAnswer {
    /// All matches.
    pub total_count: usize,
    /// This page.
    pub triggers: Vec<TriggerInfo>,
}

/// Answer of `GetTriggerTimes`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimesAnswer {
    /// RFC 3339, UTC.
    pub times: Vec<String>,
}

/// `Trigger` of an answer, and `TriggerInfo` of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TriggerInfo {
    pub trigger_name: String,
    pub r#type: String,
    pub trigger_desc: String,
    pub enable: u8,
    pub qualifier: String,
    pub available_status: &'static str,
    pub custom_argument: String,
    pub description: String,
    pub add_time: String,
    pub mod_time: String,
    pub resource_id: String,
    pub bind_status: &'static str,
    pub trigger_attribute: &'static str,
    pub bound_resources: Vec<String>,
    /// Extension: problems of the trigger in its current state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A trigger as in answers; `urls` are the URLs of its function.
pub(crate) fn shown(sources: &Sources, trigger: &Trigger, offset: UtcOffset, urls: &Urls<'_>) -> TriggerInfo {
    let desc = description::shown(sources.get(&trigger.kind), trigger);
    TriggerInfo {
        trigger_name: trigger.name.clone(),
        r#type: trigger.kind.clone(),
        trigger_desc: urls.described(trigger, desc),
        enable: trigger.enabled.into(),
        qualifier: trigger.qualifier.to_string(),
        available_status: "Available",
        custom_argument: trigger.custom_argument.clone(),
        description: trigger.description.clone(),
        add_time: offset.format(trigger.added_ms),
        mod_time: offset.format(trigger.modified_ms),
        resource_id: trigger.id.to_string(),
        bind_status: "",
        trigger_attribute: "",
        bound_resources: Vec::new(),
        warnings: warnings(sources, trigger, urls).into_iter().collect(),
    }
}

/// Problems of a trigger and its target version; for an alias, the main version.
fn warnings(sources: &Sources, trigger: &Trigger, urls: &Urls<'_>) -> Option<String> {
    let function = urls.function()?;
    let version = function.find(&trigger.qualifier, RouteBy::MAIN).ok()?;
    sources.get(&trigger.kind)?.warning(trigger, &version.spec.environment)
}
