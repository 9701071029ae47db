//! Request and answer types of the actions on quotas. Every request field is optional, so that
//! validation can name the missing one.

use serde::{Deserialize, Serialize};

use crate::validate::provisioned::GivenAction;

/// `PutReservedConcurrencyConfig`; without the number also `GetReservedConcurrencyConfig` and
/// `DeleteReservedConcurrencyConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReservedRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub reserved_concurrency_mem: Option<i64>,
}

/// Answer of `GetReservedConcurrencyConfig`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReservedAnswer {
    /// In MB; null when the function has no reservation.
    pub reserved_mem: Option<u64>,
}

/// `PutTotalConcurrencyConfig`. The quota is the installation's; the request's namespace is
/// ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TotalRequest {
    pub total_concurrency_mem: Option<i64>,
    pub namespace: Option<String>,
}

/// `PutProvisionedConcurrencyConfig`; without the number also `GetProvisionedConcurrencyConfig` and
/// `DeleteProvisionedConcurrencyConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProvisionedRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
    pub version_provisioned_concurrency_num: Option<i64>,
    pub trigger_actions: Option<Vec<GivenAction>>,
    pub provisioned_type: Option<String>,
    pub tracking_target: Option<f64>,
    pub min_capacity: Option<i64>,
    pub max_capacity: Option<i64>,
}

/// Answer of `GetProvisionedConcurrencyConfig`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProvisionedAnswer {
    /// Number of further instances of the function that could be provisioned.
    pub unallocated_concurrency_num: u64,
    pub allocated: Vec<VersionProvisioned>,
}

/// Provisioned concurrency of a version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionProvisioned {
    pub qualifier: String,
    /// Requested instances.
    pub allocated_provisioned_concurrency_num: u32,
    /// Ready instances.
    pub available_provisioned_concurrency_num: u32,
    pub status: &'static str,
    pub status_reason: String,
    pub trigger_actions: Vec<TriggerAction>,
    /// Not in the reference's answer: echoes the fields of the put.
    pub provisioned_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracking_target: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_capacity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_capacity: Option<u32>,
}

/// A number of instances that takes effect on a schedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TriggerAction {
    pub trigger_name: String,
    pub trigger_provisioned_concurrency_num: u32,
    pub trigger_cron_config: String,
    pub provisioned_type: Option<String>,
}
