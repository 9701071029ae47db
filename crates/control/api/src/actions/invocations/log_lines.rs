//! `GetLogLines`: single lines of a function's log, including lines outside requests; the newest
//! ones, or those after a cursor.

use logs::{Cursor, Filter, Line, Stream};
use types::wire::{GetLogLinesAnswer, GetLogLinesRequest, LogLine};
use types::{ApiError, ErrorCode};

use super::log_fields::request_id;
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{filled, invalid, names, quoted};

/// Maximum and default number of lines in an answer.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: i64 = 1_000;

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: GetLogLinesRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let (filter, limit, after) = (filter(&request, &key)?, limit(request.limit)?, after(&request)?);
    cx.require_function(&key)?;
    let page = match after {
        Some(after) => cx.logs.lines(filter, Some(after), limit).await?,
        None => cx.logs.newest_lines(filter, limit).await?,
    };
    let lines = page.lines.into_iter().map(line).collect();
    Ok(Answer::of(&GetLogLinesAnswer { lines, next: page.next.to_string(), more: page.more }))
}

fn filter(request: &GetLogLinesRequest, key: &types::FunctionKey) -> Result<Filter, ApiError> {
    let qualifier = match filled(request.qualifier.as_deref()) {
        Some(text) => Some(names::qualifier(Some(text), types::Qualifier::LATEST)?.to_string()),
        None => None,
    };
    Ok(Filter {
        function: Some(key.name.clone()),
        qualifier,
        request_id: filled(request.function_request_id.as_deref()).map(request_id).transpose()?,
        instance: filled(request.instance_id.as_deref()).map(instance).transpose()?,
        failed: request.failed,
        start_ms: request.start_time_ms.unwrap_or(i64::MIN),
        end_ms: request.end_time_ms.unwrap_or(i64::MAX),
        ..Filter::all(key.namespace.clone())
    })
}

/// A prefix of an instance id.
fn instance(text: &str) -> Result<String, ApiError> {
    let lower = text.to_ascii_lowercase();
    let hexadecimal = |rest: &str| rest.len() <= 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if lower.strip_prefix("i-").is_some_and(hexadecimal) {
        return Ok(lower);
    }
    let problem = format!("{} does not begin the id of an instance, which is i- and 32 digits", quoted(text));
    Err(invalid(ErrorCode::INVALID_VALUE, "InstanceId", problem))
}

fn limit(given: Option<i64>) -> Result<usize, ApiError> {
    let limit = given.unwrap_or(LIMIT_DEFAULT);
    usize::try_from(limit).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
        let problem = format!("{limit} is not allowed; use 1 to {LIMIT_MAX}");
        invalid(ErrorCode::INVALID_VALUE_LIMIT, "Limit", problem)
    })
}

fn after(request: &GetLogLinesRequest) -> Result<Option<Cursor>, ApiError> {
    let Some(text) = filled(request.after.as_deref()) else { return Ok(None) };
    let cursor = text.parse::<Cursor>();
    cursor.map(Some).map_err(|error| invalid(ErrorCode::INVALID_VALUE, "After", error))
}

fn line(line: Line) -> LogLine {
    let stream = match line.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Platform => "platform",
    };
    LogLine {
        time_ms: line.time_ms,
        stream: stream.to_owned(),
        request_id: line.request_id.map(String::from),
        instance_id: line.instance.map(String::from),
        version: line.version.to_string(),
        text: line.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_instances_id_is_enough() {
        assert_eq!(instance("i-1A2b").as_deref().ok(), Some("i-1a2b"));
        for wrong in ["1a2b", "i", "i-xyz", "i-000000000000000000000000000000000"] {
            assert!(instance(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_those_of_a_page() {
        assert_eq!(limit(None).ok(), Some(1_000));
        assert!(limit(Some(0)).is_err() && limit(Some(10_001)).is_err() && limit(Some(10_000)).is_ok());
    }
}
