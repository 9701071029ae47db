//! `GetFunctionLogs`: runs with their logs.

use logs::{OrderBy, Query, Ret};
use types::wire::{GetFunctionLogsAnswer, GetFunctionLogsRequest, LogSearchContext};
use types::{ApiError, ErrorCode, RunStatus};

use super::instance_logs;
use super::log_fields::{page, qualifier, request_id};
use crate::actions::Outcome;
use crate::context::{Context, now_ms};
use crate::envelope::Answer;
use crate::params::Params;
use crate::render;
use crate::validate::{filled, invalid, names, paging, quoted, times};
use types::UtcOffset;

/// Sort keys of a list.
const ORDERS: [(&str, OrderBy); 4] = [
    ("start_time", OrderBy::StartTime),
    ("function_name", OrderBy::FunctionName),
    ("duration", OrderBy::Duration),
    ("mem_usage", OrderBy::Memory),
];

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: GetFunctionLogsRequest = params.read()?;
    if instance_logs::is_wanted(&request) {
        return instance_logs::run(cx, &request).await;
    }
    let query = query(&request, cx.config.utc_offset, now_ms())?;
    match &query.function {
        Some(name) => {
            let key = types::FunctionKey { namespace: query.namespace.clone(), name: name.clone() };
            cx.require_function(&key)?;
        }
        None => cx.require_namespace(&query.namespace)?,
    }
    let page = cx.logs.invocations(query).await?;
    let data = page.invocations.into_iter().map(|run| render::run::log(run, cx.config.utc_offset)).collect();
    let search_context = LogSearchContext::default();
    Ok(Answer::of(&GetFunctionLogsAnswer { total_count: page.total, data, search_context }))
}

fn query(request: &GetFunctionLogsRequest, offset: UtcOffset, now_ms: i64) -> Result<Query, ApiError> {
    let namespace = names::namespace("Namespace", request.namespace.as_deref())?;
    let function = match filled(request.function_name.as_deref()) {
        Some(name) => Some(names::function(Some(name), Some(namespace.as_str()))?.name),
        None => None,
    };
    let page = page(request)?;
    let request_id = filled(request.function_request_id.as_deref()).map(request_id).transpose()?;
    let given = times::read(request.start_time.as_deref(), request.end_time.as_deref(), offset)?;
    // A request id alone finds its run at any age.
    let span = if request_id.is_some() && given.is_open() { times::EVER } else { given.of_logs(now_ms)? };
    Ok(Query {
        namespace,
        function,
        qualifier: qualifier(request)?,
        request_id,
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        ret: ret(request.filter.as_ref().and_then(|filter| filter.ret_code.as_deref()))?,
        order_by: paging::order_by("OrderBy", request.order_by.as_deref(), &ORDERS)?,
        descending: paging::descending(request.order.as_deref())?,
        offset: page.offset as usize,
        limit: page.limit as usize,
    })
}

/// `Filter.RetCode`: outcomes to list.
fn ret(given: Option<&str>) -> Result<Ret, ApiError> {
    use RunStatus::{
        MemoryLimitReached, ResourceLimit, ResourceLimitReached, TimeLimitReached, UserCodeError, UserCodeException,
        UserProcessExited,
    };
    match filled(given) {
        None => Ok(Ret::Any),
        Some("not0") => Ok(Ret::Failed),
        Some("is0") => Ok(Ret::Succeeded),
        Some("TimeLimitExceeded") => Ok(Ret::In(vec![TimeLimitReached])),
        Some("ResourceLimitExceeded") => Ok(Ret::In(vec![MemoryLimitReached, ResourceLimitReached, ResourceLimit])),
        Some("UserCodeException") => Ok(Ret::In(vec![UserCodeException, UserCodeError, UserProcessExited])),
        Some(other) => {
            let problem = format!(
                "{} is not allowed; use not0, is0, TimeLimitExceeded, ResourceLimitExceeded or UserCodeException",
                quoted(other)
            );
            Err(invalid(ErrorCode::INVALID_VALUE_RET_CODE, "Filter.RetCode", problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use types::wire::LogFilter;

    use super::*;

    const NOW_MS: i64 = 1_551_113_065_000;
    const DAY_MS: i64 = 86_400_000;

    fn asked(change: impl FnOnce(&mut GetFunctionLogsRequest)) -> Result<Query, &'static str> {
        let mut request = GetFunctionLogsRequest::default();
        change(&mut request);
        query(&request, UtcOffset::CHINA, NOW_MS).map_err(|error| error.code.name)
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nothing_asked_is_the_latest_of_the_last_day() {
        let query = asked(|_| {}).expect("valid");
        assert_eq!((query.start_ms, query.end_ms), (NOW_MS - DAY_MS, NOW_MS));
        assert_eq!((query.offset, query.limit, query.descending), (0, 20, true));
        assert_eq!((query.function, query.request_id, query.ret), (None, None, Ret::Any));
    }

    #[test]
    fn a_run_is_found_by_its_id_at_any_time() {
        let query = asked(|r| r.function_request_id = text("3C4ED1BD-9c2e-4b0e-8c0c-0f3e6f0f3a11")).expect("valid");
        assert_eq!(query.request_id.expect("asked for").as_str(), "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11");
        assert_eq!((query.start_ms, query.end_ms), (0, i64::MAX));
    }

    #[test]
    fn each_wrong_field_has_its_code() {
        let code = |change: fn(&mut GetFunctionLogsRequest)| asked(change).map(|_| ());
        assert_eq!(code(|r| r.function_name = text("-")), Err("InvalidParameterValue.FunctionName"));
        assert_eq!(code(|r| r.function_request_id = text("x")), Err("InvalidParameterValue.FunctionRequestId"));
        assert_eq!(code(|r| r.order = text("up")), Err("InvalidParameterValue.Order"));
        assert_eq!(code(|r| r.order_by = text("size")), Err("InvalidParameterValue.OrderBy"));
        assert_eq!(code(|r| r.offset = Some(-1)), Err("InvalidParameterValue.Offset"));
        assert_eq!(code(|r| r.offset = Some(9_981)), Err("LimitExceeded.Offset"));
        assert_eq!(code(|r| r.offset = Some(9_980)), Ok(()));
        assert_eq!(code(|r| r.start_time = text("today")), Err("InvalidParameterValue.DateTime"));
        let filter = |ret: &str| Some(LogFilter { ret_code: text(ret) });
        assert_eq!(asked(|r| r.filter = filter("x")).map(|_| ()), Err("InvalidParameterValue.RetCode"));
        assert_eq!(asked(|r| r.filter = filter("is0")).map(|query| query.ret), Ok(Ret::Succeeded));
    }
}
