//! Shapes of the actions on quotas. Every field of a request is optional, so that validation can say which is missing.

use serde::{Deserialize, Serialize};

/// `PutReservedConcurrencyConfig`, and without the number `GetReservedConcurrencyConfig` and
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
    /// In MB; null when the function has no quota of its own.
    pub reserved_mem: Option<u64>,
}

/// `PutTotalConcurrencyConfig`. A quota is the installation's, whatever namespace the request names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TotalRequest {
    pub total_concurrency_mem: Option<i64>,
    pub namespace: Option<String>,
}
