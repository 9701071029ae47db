//! `ListVersionByFunction`: `$LATEST` and the published versions, ordered and paged.

use types::VersionRecord;

use super::wire::{FunctionVersion, ListVersionByFunctionAnswer, ListVersionByFunctionRequest};
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{names, paging};

/// Sort keys of a list; versions with equal times are ordered by number.
#[derive(Debug, Clone, Copy)]
enum OrderBy {
    Added,
    Modified,
}

const ORDERS: [(&str, OrderBy); 2] = [("AddTime", OrderBy::Added), ("ModTime", OrderBy::Modified)];

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: ListVersionByFunctionRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let page = paging::page(request.offset, request.limit, cx.config.page_len_max)?;
    let descending = paging::descending(request.order.as_deref())?;
    let order_by = paging::order_by("OrderBy", request.order_by.as_deref(), &ORDERS)?;
    let mut all = cx.store.function(&key).await?.versions;
    sort(&mut all, order_by, descending);
    let total_count = all.len();
    let entry = |version: VersionRecord| FunctionVersion {
        version: version.version.to_string(),
        description: version.desired.description,
        add_time: cx.local_time(version.added_ms),
        mod_time: cx.local_time(version.modified_ms),
        status: version.status.as_str(),
    };
    let versions: Vec<_> = page.cut(all).into_iter().map(entry).collect();
    let function_version = versions.iter().map(|version| version.version.clone()).collect();
    Ok(Answer::of(&ListVersionByFunctionAnswer { function_version, versions, total_count }))
}

fn sort(versions: &mut [VersionRecord], order_by: OrderBy, descending: bool) {
    let time = |version: &VersionRecord| match order_by {
        OrderBy::Added => version.added_ms,
        OrderBy::Modified => version.modified_ms,
    };
    versions.sort_by_key(|version| (time(version), version.version));
    if descending {
        versions.reverse();
    }
}
