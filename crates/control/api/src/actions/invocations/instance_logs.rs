//! `GetFunctionLogs` for output of instances outside requests: one entry per instance, in the form
//! of a run.

use std::collections::HashMap;

use logs::{Filter, Line};
use types::wire::{FunctionLog, GetFunctionLogsAnswer, GetFunctionLogsRequest, LogSearchContext};
use types::{ApiError, FunctionKey, InstanceId};

use super::log_fields::{page, qualifier};
use crate::actions::Outcome;
use crate::context::{Context, now_ms};
use crate::envelope::Answer;
use crate::render;
use crate::validate::{filled, names, times};
use types::UtcOffset;

/// `SearchContext.Type` that selects instances instead of runs.
const BY_INSTANCE: &str = "Instance";

/// The newest lines that one query reads; the answer has the instances of these lines.
const LINES_MAX: usize = 10_000;

/// Whether the request selects instances: all, or one by its id.
pub(super) fn is_wanted(request: &GetFunctionLogsRequest) -> bool {
    let kind = request.search_context.as_ref().and_then(|context| context.r#type.as_deref());
    kind == Some(BY_INSTANCE) || instance(request).is_some()
}

fn instance(request: &GetFunctionLogsRequest) -> Option<InstanceId> {
    filled(request.function_request_id.as_deref())?.to_ascii_lowercase().parse().ok()
}

pub(super) async fn run(cx: &Context, request: &GetFunctionLogsRequest) -> Outcome {
    let (offset, page) = (cx.config.utc_offset, page(request)?);
    let filter = filter(request, offset, now_ms())?;
    match &filter.function {
        Some(name) => {
            cx.require_function(&FunctionKey { namespace: filter.namespace.clone(), name: name.clone() })?;
        }
        None => cx.require_namespace(&filter.namespace)?,
    }
    let entries = by_instance(cx.logs.newest_lines(filter, LINES_MAX).await?.lines, offset);
    let (total_count, data) = (entries.len(), page.cut(entries));
    Ok(Answer::of(&GetFunctionLogsAnswer { total_count, data, search_context: LogSearchContext::default() }))
}

fn filter(request: &GetFunctionLogsRequest, offset: UtcOffset, now_ms: i64) -> Result<Filter, ApiError> {
    let namespace = names::namespace("Namespace", request.namespace.as_deref())?;
    let function = match filled(request.function_name.as_deref()) {
        Some(name) => Some(names::function(Some(name), Some(namespace.as_str()))?.name),
        None => None,
    };
    let instance = instance(request);
    let given = times::read(request.start_time.as_deref(), request.end_time.as_deref(), offset)?;
    let span = if instance.is_some() && given.is_open() { times::EVER } else { given.of_logs(now_ms)? };
    Ok(Filter {
        function,
        qualifier: qualifier(request)?,
        instance: instance.map(String::from),
        outside_requests: true,
        start_ms: span.start_ms,
        end_ms: span.end_ms,
        ..Filter::all(namespace)
    })
}

/// One entry per instance, most recent output first.
fn by_instance(lines: Vec<Line>, offset: UtcOffset) -> Vec<FunctionLog> {
    let mut entries: Vec<FunctionLog> = Vec::new();
    let mut places: HashMap<InstanceId, usize> = HashMap::new();
    let mut printed_last: Vec<usize> = Vec::new();
    for (number, line) in lines.into_iter().enumerate() {
        let Some(instance) = line.instance.clone() else { continue };
        let place = *places.entry(instance.clone()).or_insert_with(|| {
            entries.push(render::run::instance(&line.function, &instance, line.time_ms, offset));
            printed_last.push(number);
            entries.len() - 1
        });
        entries[place].log.push_str(&line.text);
        entries[place].log.push('\n');
        printed_last[place] = number;
    }
    let mut ordered: Vec<_> = printed_last.into_iter().zip(entries).collect();
    ordered.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
    ordered.into_iter().map(|(_, entry)| entry).collect()
}
