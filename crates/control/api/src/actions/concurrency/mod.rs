//! Actions on memory quotas of a function and of the installation, and on provisioned concurrency.

pub(super) mod provisioned;
mod wire;

use types::{ApiError, ErrorCode};

use self::wire::{ReservedAnswer, ReservedRequest, TotalRequest};
use super::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::{names, required};

/// `PutReservedConcurrencyConfig`: reserves memory that is also the function's limit; 0 stops the
/// function.
pub(super) async fn put_reserved(cx: &Context, params: Params) -> Outcome {
    let request: ReservedRequest = params.read()?;
    let reserved_mb = memory_mb("ReservedConcurrencyMem", request.reserved_concurrency_mem)?;
    reserve(cx, &request, Some(reserved_mb)).await
}

/// `DeleteReservedConcurrencyConfig`: the function shares the unreserved memory again.
pub(super) async fn delete_reserved(cx: &Context, params: Params) -> Outcome {
    reserve(cx, &params.read()?, None).await
}

async fn reserve(cx: &Context, request: &ReservedRequest, reserved_mb: Option<u64>) -> Outcome {
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let quota_mb = limit(cx.invoker.usage().memory_mb_max);
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_RESERVED_IN_PROGRESS, ..StoreCodes::default() };
    cx.store.reserve(&key, reserved_mb, quota_mb).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}

/// `GetReservedConcurrencyConfig`.
pub(super) async fn get_reserved(cx: &Context, params: Params) -> Outcome {
    let request: ReservedRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let reserved_mem = cx.store.function(&key).await?.reserved_mb;
    Ok(Answer::of(&ReservedAnswer { reserved_mem }))
}

/// `PutTotalConcurrencyConfig`.
pub(super) async fn put_total(cx: &Context, params: Params) -> Outcome {
    let request: TotalRequest = params.read()?;
    names::namespace("Namespace", request.namespace.as_deref())?;
    let quota_mb = memory_mb("TotalConcurrencyMem", request.total_concurrency_mem)?;
    cx.store.set_quota(quota_mb, limit(cx.invoker.usage().memory_mb_configured)).await?;
    Ok(Answer::empty())
}

fn memory_mb(field: &str, value: Option<i64>) -> Result<u64, ApiError> {
    let value = required(field, value)?;
    u64::try_from(value).map_err(|_| {
        ApiError::new(ErrorCode::INVALID_VALUE_MEMORY, format!("{field} {value}: it is an amount of memory in MB"))
    })
}

/// Usage reports 0 for no limit.
fn limit(memory_mb: u64) -> Option<u64> {
    (memory_mb > 0).then_some(memory_mb)
}
