//! Answer of `GetAccount`: usage and limits.

use serde::Serialize;

/// Answer of `GetAccount`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccountAnswer {
    /// Current usage.
    pub account_usage: UsageInfo,
    /// Limits of usage.
    pub account_limit: LimitsInfo,
}

/// Current usage.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UsageInfo {
    /// Namespaces.
    pub namespaces_count: usize,
    /// Usage of each namespace.
    pub namespace: Vec<NamespaceUsage>,
    /// Memory quota of instances, in MB; 0 without a limit.
    pub total_concurrency_mem: u64,
    /// Reserved memory of functions, in MB.
    pub total_allocated_concurrency_mem: u64,
    /// Largest allowed `total_concurrency_mem`, in MB; 0 without a limit.
    pub user_concurrency_mem_limit: u64,
}

/// Usage of a namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamespaceUsage {
    /// Its name.
    pub namespace: String,
    /// Names of its functions.
    pub functions: Vec<String>,
    /// Number of functions.
    pub functions_count: usize,
    /// Memory of its running instances, in MB.
    pub total_concurrency_mem: u64,
    /// Reserved memory of its functions, in MB.
    pub total_allocated_concurrency_mem: u64,
    /// Memory of its provisioned instances, in MB.
    pub total_allocated_provisioned_mem: u64,
}

/// Limits of usage.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LimitsInfo {
    /// Most namespaces.
    pub namespaces_count: u64,
    /// Limits of each namespace.
    pub namespace: Vec<NamespaceLimit>,
}

/// Limits of a namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamespaceLimit {
    /// Its name.
    pub namespace: String,
    /// Most functions.
    pub functions_count: u64,
    /// Longest timeout of a run, in seconds.
    pub timeout_limit: u32,
    /// Longest start timeout, in seconds.
    pub init_timeout_limit: u32,
    /// Most instances of a function.
    pub concurrent_executions: u64,
    /// Most saved test events.
    pub test_model_limit: u32,
    /// Most retries of an asynchronous event.
    pub retry_num_limit: u32,
    /// Shortest maximum age of an asynchronous event, in seconds.
    #[serde(rename = "MinMsgTTL")]
    pub min_msg_ttl_s: u32,
    /// Longest maximum age of an asynchronous event, in seconds.
    #[serde(rename = "MaxMsgTTL")]
    pub max_msg_ttl_s: u32,
    /// Most triggers of a function, by type.
    pub trigger: TriggerCount,
}

/// Most triggers of one type for a function.
pub const TRIGGERS_PER_TYPE: u32 = 10;

/// Triggers of a function, by type.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // Each field is the type of trigger that it is named after.
pub struct TriggerCount {
    pub apigw: u32,
    pub ckafka: u32,
    pub clb: u32,
    pub cls: u32,
    pub cm: u32,
    pub cmq: u32,
    pub cos: u32,
    pub eb: u32,
    pub mps: u32,
    pub timer: u32,
    pub vod: u32,
    pub total: u32,
}

impl TriggerCount {
    /// The same number for each of the eleven types.
    pub fn each(n: u32) -> Self {
        let types = 11;
        Self {
            apigw: n,
            ckafka: n,
            clb: n,
            cls: n,
            cm: n,
            cmq: n,
            cos: n,
            eb: n,
            mps: n,
            timer: n,
            vod: n,
            total: types * n,
        }
    }
}
