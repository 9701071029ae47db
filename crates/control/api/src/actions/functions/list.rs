//! `ListFunctions`: functions of a namespace by condition, order and page.

use store::{FunctionQuery, ListedFunction, OrderBy};
use types::ApiError;
use types::wire::{ListFunctionsAnswer, ListFunctionsRequest};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::render::function::Shown;
use crate::validate::filters::{self, Condition};
use crate::validate::paging::{self, Page};
use crate::validate::{filled, names};

/// Sort keys of a list.
const ORDERS: [(&str, OrderBy); 3] =
    [("AddTime", OrderBy::Added), ("ModTime", OrderBy::Modified), ("FunctionName", OrderBy::Name)];

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: ListFunctionsRequest = params.read()?;
    let page = paging::page(request.offset, request.limit, cx.config.page_len_max)?;
    let (query, conditions) = query(request, page)?;
    let found = cx.store.functions(&query).await?;
    let (functions, total_count) = if conditions.is_empty() {
        (found.functions, found.total)
    } else {
        let meets_all = |function: &ListedFunction| conditions.iter().all(|condition| condition.matches(function));
        let matches: Vec<_> = found.functions.into_iter().filter(meets_all).collect();
        let total = matches.len() as u64;
        (page.cut(matches), total)
    };
    let functions = functions.iter().map(|function| entry(cx, function)).collect();
    Ok(Answer::of(&ListFunctionsAnswer { functions, total_count }))
}

/// The store's query, and the conditions that the store cannot evaluate. With such conditions the
/// query selects all matches instead of one page.
fn query(request: ListFunctionsRequest, page: Page) -> Result<(FunctionQuery, Vec<Condition>), ApiError> {
    let mut query = FunctionQuery::all(names::namespace("Namespace", request.namespace.as_deref())?);
    query.descending = paging::descending(request.order.as_deref())?;
    query.order_by = paging::order_by("Orderby", request.orderby.as_deref(), &ORDERS)?;
    query.name_contains = filled(request.search_key.as_deref()).map(str::to_owned);
    query.description_contains = filled(request.description.as_deref()).map(str::to_owned);
    let conditions = filters::plan(request.filters.as_deref().unwrap_or_default(), &mut query)?;
    if conditions.is_empty() {
        (query.offset, query.limit) = (page.offset, page.limit);
    }
    Ok((query, conditions))
}

fn entry(cx: &Context, listed: &ListedFunction) -> types::wire::Function {
    let progress = cx.store.progress(&listed.record.id, listed.latest.version);
    let shown = Shown {
        function: &listed.record,
        version: &listed.latest,
        progress: progress.as_deref(),
        offset: cx.config.utc_offset,
    };
    let catalog = cx.store.catalog().load_full();
    shown.entry(catalog.functions.get(&listed.record.key).map(AsRef::as_ref))
}
