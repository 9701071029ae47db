//! `ListAsyncEvents`: the states of a function's events.

use events::{EventStatus, ListQuery};
use types::wire::{AsyncEvent, ListAsyncEventsAnswer, ListAsyncEventsRequest};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{async_events, filled, names, paging};
use types::UtcOffset;

/// Most events of a page (contract 2.7).
const LIMIT_MAX: u32 = 100;

pub(in crate::actions) async fn list(cx: &Context, params: Params) -> Outcome {
    let request: ListAsyncEventsRequest = params.read()?;
    let offset = cx.config.utc_offset;
    let function = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let qualifier = filled(request.qualifier.as_deref());
    let page = paging::page(request.offset, request.limit, LIMIT_MAX)?;
    let query = ListQuery {
        qualifier: match qualifier {
            Some(text) => Some(names::qualifier(Some(text), types::Qualifier::LATEST)?),
            None => None,
        },
        invoke_types: async_events::invoke_types(request.invoke_type.as_deref().unwrap_or_default())?,
        states: async_events::states(request.status.as_deref().unwrap_or_default())?,
        request_id: filled(request.invoke_request_id.as_deref()).map(async_events::request_id).transpose()?,
        accepted_ms: async_events::interval("StartTimeInterval", request.start_time_interval.as_ref(), offset)?,
        ended_ms: async_events::interval("EndTimeInterval", request.end_time_interval.as_ref(), offset)?,
        by_end: async_events::by_end(request.orderby.as_deref())?,
        ascending: !paging::descending(request.order.as_deref())?,
        offset: page.offset.into(),
        limit: page.limit.into(),
        function_id: cx.function_id(&function)?,
    };
    let listed = cx.events.list(query).await?;
    let event_list = listed.events.into_iter().map(|event| shown(event, offset)).collect();
    Ok(Answer::of(&ListAsyncEventsAnswer { total_count: listed.total, event_list }))
}

fn shown(event: EventStatus, offset: UtcOffset) -> AsyncEvent {
    AsyncEvent {
        invoke_request_id: event.request_id.to_string(),
        invoke_type: event.invoke_type.as_str().to_owned(),
        qualifier: event.address.qualifier.to_string(),
        status: event.state.as_str().to_owned(),
        start_time: offset.format_micros(event.accepted_ms),
        end_time: event.ended_ms.map_or(String::new(), |ms| offset.format_micros(ms)),
    }
}
