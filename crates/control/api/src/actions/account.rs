//! `GetAccount`: current usage and effective limits.

use std::collections::HashMap;

use types::limits::{INIT_TIMEOUT_S_MAX, MEMORY_MB_DEFAULT, TIMEOUT_S_MAX};
use types::wire::{GetAccountAnswer, LimitsInfo, NamespaceLimit, NamespaceUsage, TriggerCount, UsageInfo};
use types::{Catalog, Namespace};

use super::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;

/// Saved test events of a function (contract 3). Reported although there are no test events yet; so
/// are the next two limits.
const TEST_EVENTS_MAX: u32 = 20;
/// Retries of an asynchronous event.
const RETRIES_MAX: u32 = 2;
/// Shortest and longest life of an asynchronous event, in seconds.
const EVENT_LIFE_S: (u32, u32) = (60, 21_600);

pub(super) async fn run(cx: &Context, _params: Params) -> Outcome {
    let catalog = cx.store.catalog().load_full();
    let usage = cx.invoker.usage();
    let mut running_mb: HashMap<Namespace, u64> = HashMap::new();
    for function in usage.functions {
        *running_mb.entry(function.function.namespace).or_default() += function.memory_mb;
    }
    let config = cx.store.config();
    let limit = |name: &Namespace| {
        let trigger = TriggerCount::each(config.triggers_per_kind_max);
        let instances_max = usage.memory_mb_max / u64::from(MEMORY_MB_DEFAULT);
        limits(name, config.functions_per_namespace_max.into(), instances_max, trigger)
    };
    Ok(Answer::of(&GetAccountAnswer {
        account_usage: used(&catalog, &running_mb, usage.memory_mb_max, usage.memory_mb_configured),
        account_limit: LimitsInfo {
            namespaces_count: config.namespaces_max.into(),
            namespace: catalog.namespaces.iter().map(limit).collect(),
        },
    }))
}

fn used(
    catalog: &Catalog,
    running_mb: &HashMap<Namespace, u64>,
    memory_mb_max: u64,
    memory_mb_configured: u64,
) -> UsageInfo {
    let mut functions: HashMap<&Namespace, Vec<String>> = HashMap::new();
    let mut reserved_mb: HashMap<&Namespace, u64> = HashMap::new();
    let mut provisioned_mb: HashMap<&Namespace, u64> = HashMap::new();
    for (key, function) in catalog.functions.iter() {
        functions.entry(&key.namespace).or_default().push(key.name.to_string());
        *provisioned_mb.entry(&key.namespace).or_default() += function.provisioned_mb();
        *reserved_mb.entry(&key.namespace).or_default() += function.reserved_mb.unwrap_or(0);
    }
    let namespace = |name: &Namespace| {
        let mut functions = functions.remove(name).unwrap_or_default();
        functions.sort_unstable();
        NamespaceUsage {
            namespace: name.to_string(),
            functions_count: functions.len(),
            functions,
            total_concurrency_mem: running_mb.get(name).copied().unwrap_or(0),
            total_allocated_concurrency_mem: reserved_mb.get(name).copied().unwrap_or(0),
            total_allocated_provisioned_mem: provisioned_mb.get(name).copied().unwrap_or(0),
        }
    };
    UsageInfo {
        namespaces_count: catalog.namespaces.len(),
        namespace: catalog.namespaces.iter().map(namespace).collect(),
        total_concurrency_mem: memory_mb_max,
        total_allocated_concurrency_mem: reserved_mb.values().sum(),
        user_concurrency_mem_limit: memory_mb_configured,
    }
}

fn limits(name: &Namespace, functions_max: u64, instances_max: u64, trigger: TriggerCount) -> NamespaceLimit {
    NamespaceLimit {
        namespace: name.to_string(),
        functions_count: functions_max,
        timeout_limit: TIMEOUT_S_MAX,
        init_timeout_limit: INIT_TIMEOUT_S_MAX,
        concurrent_executions: instances_max,
        test_model_limit: TEST_EVENTS_MAX,
        retry_num_limit: RETRIES_MAX,
        min_msg_ttl_s: EVENT_LIFE_S.0,
        max_msg_ttl_s: EVENT_LIFE_S.1,
        trigger,
    }
}
