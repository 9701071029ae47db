//! Actions on namespaces.

use std::cmp::Ordering;

use store::NamespaceRecord;
use types::wire::{
    CreateNamespaceRequest, DeleteNamespaceRequest, ListNamespacesAnswer, ListNamespacesRequest, NamespaceEntry,
    SearchKey, UpdateNamespaceRequest,
};
use types::{ApiError, ErrorCode, Namespace};

use super::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::{filled, invalid, paging, quoted, required, scalars};

/// Type of every namespace; the other types of the cloud belong to other products.
const TYPE: &str = "default";

/// Sort keys of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrderBy {
    Modified,
    Name,
}

const ORDERS: [(&str, OrderBy); 2] = [("Updatetime", OrderBy::Modified), ("Name", OrderBy::Name)];

pub(super) async fn create(cx: &Context, params: Params) -> Outcome {
    let request: CreateNamespaceRequest = params.read()?;
    let name = name(request.namespace.as_deref(), ErrorCode::INVALID_VALUE_NAMESPACE_INVALID)?;
    let description = scalars::description(request.description.as_deref().unwrap_or_default())?;
    cx.store.create_namespace(&name, &description).await?;
    Ok(Answer::empty())
}

pub(super) async fn update(cx: &Context, params: Params) -> Outcome {
    let request: UpdateNamespaceRequest = params.read()?;
    let name = name(request.namespace.as_deref(), ErrorCode::INVALID_VALUE_NAMESPACE)?;
    let description = scalars::description(&required("Description", request.description)?)?;
    cx.store.update_namespace(&name, &description).await?;
    Ok(Answer::empty())
}

pub(super) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: DeleteNamespaceRequest = params.read()?;
    let name = name(request.namespace.as_deref(), ErrorCode::INVALID_VALUE_NAMESPACE)?;
    cx.store.delete_namespace(&name).await?;
    Ok(Answer::empty())
}

pub(super) async fn list(cx: &Context, params: Params) -> Outcome {
    let request: ListNamespacesRequest = params.read()?;
    let page = paging::page(request.offset, request.limit, cx.config.page_len_max)?;
    let order = paging::order_by("Orderby", request.orderby.as_deref(), &ORDERS)?;
    let descending = paging::descending(request.order.as_deref())?;
    let keys = request.search_key.unwrap_or_default();
    check(&keys)?;
    let mut namespaces = cx.store.namespaces().await?;
    namespaces.retain(|namespace| keys.iter().all(|key| matches(key, namespace)));
    namespaces.sort_by(|a, b| compare(a, b, order, descending));
    let total_count = namespaces.len();
    let namespaces = page.cut(namespaces).into_iter().map(|namespace| entry(cx, namespace)).collect();
    Ok(Answer::of(&ListNamespacesAnswer { namespaces, total_count }))
}

fn name(given: Option<&str>, code: ErrorCode) -> Result<Namespace, ApiError> {
    required("Namespace", filled(given))?.parse().map_err(|error| invalid(code, "Namespace", error))
}

fn check(keys: &[SearchKey]) -> Result<(), ApiError> {
    for (index, key) in keys.iter().enumerate() {
        let given = key.key.as_deref().unwrap_or_default();
        if !matches!(given, "Namespace" | "Description") {
            let problem = format!("{} is neither Namespace nor Description", quoted(given));
            return Err(invalid(ErrorCode::INVALID_VALUE_SEARCH_KEY, &format!("SearchKey.{index}.Key"), problem));
        }
    }
    Ok(())
}

fn matches(key: &SearchKey, namespace: &NamespaceRecord) -> bool {
    let wanted = key.value.as_deref().unwrap_or_default();
    match key.key.as_deref() {
        Some("Namespace") => namespace.name.as_str().contains(wanted),
        _ => namespace.description.contains(wanted),
    }
}

fn compare(a: &NamespaceRecord, b: &NamespaceRecord, order: OrderBy, descending: bool) -> Ordering {
    let by_name = a.name.cmp(&b.name);
    let ascending = match order {
        OrderBy::Name => by_name,
        OrderBy::Modified => a.modified_ms.cmp(&b.modified_ms).then(by_name),
    };
    if descending { ascending.reverse() } else { ascending }
}

fn entry(cx: &Context, namespace: NamespaceRecord) -> NamespaceEntry {
    NamespaceEntry {
        name: namespace.name.to_string(),
        description: namespace.description,
        r#type: TYPE,
        add_time: cx.local_time(namespace.added_ms),
        mod_time: cx.local_time(namespace.modified_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, modified_ms: i64) -> NamespaceRecord {
        let name = name.parse().expect("valid");
        NamespaceRecord { name, description: "team a".to_owned(), added_ms: 0, modified_ms }
    }

    #[test]
    fn a_list_is_ordered_by_time_or_name() {
        let order = |order, descending| {
            let mut all = [namespace("b", 1), namespace("a", 1), namespace("c", 0)];
            all.sort_by(|a, b| compare(a, b, order, descending));
            all.map(|namespace| namespace.name.to_string())
        };
        assert_eq!(order(OrderBy::Name, false), ["a", "b", "c"]);
        assert_eq!(order(OrderBy::Modified, false), ["c", "a", "b"]);
        assert_eq!(order(OrderBy::Modified, true), ["b", "a", "c"]);
    }

    #[test]
    fn search_keys_look_at_one_field() {
        let key = |key: &str, value: &str| SearchKey { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let found = |name: &str, value: &str| matches(&key(name, value), &namespace("shop-1", 0));
        assert!(found("Namespace", "shop") && found("Description", "team"));
        assert!(!found("Namespace", "team") && !found("Description", "shop"));
        assert_eq!(check(&[key("Type", "x")]).expect_err("no field").code.name, "InvalidParameterValue.SearchKey");
    }
}
