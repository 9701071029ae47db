//! Actions on custom domains.

mod wire;

use std::sync::Arc;

use types::wire::Filter;
use types::{ApiError, CustomDomain, ErrorCode};

use self::wire::{DomainInfo, DomainRequest, ListDomainsAnswer, ListDomainsRequest};
use super::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::domains::{self, Given, Limits};
use crate::validate::{invalid, paging, quoted};

/// Sort keys of a list.
const ORDERS: [(&str, Time); 2] =
    [("AddTime", |domain: &CustomDomain| domain.added_ms), ("ModTime", |domain: &CustomDomain| domain.modified_ms)];
type Time = fn(&CustomDomain) -> i64;

/// `CreateCustomDomain`.
pub(super) async fn create(cx: &Context, params: Params) -> Outcome {
    let request: DomainRequest = params.read()?;
    let name = domains::name(request.domain.as_deref())?;
    domains::check_is_no_function_host(&name, &cx.host_environment.function_domains)?;
    let limits = Limits { config: &cx.config, certificates: &cx.host_environment.certificates };
    cx.store.create_domain(domains::new(name, &request.into(), limits)?).await?;
    Ok(Answer::empty())
}

/// `UpdateCustomDomain`: omitted fields are unchanged.
pub(super) async fn update(cx: &Context, params: Params) -> Outcome {
    let request: DomainRequest = params.read()?;
    let name = domains::name(request.domain.as_deref())?;
    let (given, config, certificates) =
        (Given::from(request), cx.config.clone(), cx.host_environment.certificates.clone());
    let edit = move |old: &CustomDomain| {
        domains::changed(old, &given, Limits { config: &config, certificates: &certificates })
    };
    cx.store.change_domain(&name, edit).await??;
    Ok(Answer::empty())
}

/// `GetCustomDomain`.
pub(super) async fn get(cx: &Context, params: Params) -> Outcome {
    let request: DomainRequest = params.read()?;
    let name = domains::name(request.domain.as_deref())?;
    match cx.store.catalog().load().domains.get(&name) {
        Some(domain) => Ok(Answer::of(&DomainInfo::from(domain.as_ref()))),
        None => Err(store::Error::Domain(store::DomainError::NotFound { domain: name }).into()),
    }
}

/// `ListCustomDomains`.
pub(super) async fn list(cx: &Context, params: Params) -> Outcome {
    let request: ListDomainsRequest = params.read()?;
    let page = paging::page(request.offset, request.limit, cx.config.page_len_max)?;
    let descending = paging::descending(request.order.as_deref())?;
    let time = paging::order_by("OrderBy", request.order_by.as_deref(), &ORDERS)?;
    let filters = request.filters.unwrap_or_default();
    let catalog = cx.store.catalog().load_full();
    let mut matching: Vec<&Arc<CustomDomain>> = Vec::new();
    for domain in catalog.domains.values() {
        if meets_all(domain, &filters)? {
            matching.push(domain);
        }
    }
    // The sort is stable: equal times stay in order of name.
    matching.sort_by_key(|domain| if descending { -time(domain) } else { time(domain) });
    let total = matching.len();
    let domains = page.cut(matching).into_iter().map(|domain| DomainInfo::from(domain.as_ref())).collect();
    Ok(Answer::of(&ListDomainsAnswer { total, domains }))
}

/// `DeleteCustomDomain`.
pub(super) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: DomainRequest = params.read()?;
    cx.store.delete_domain(&domains::name(request.domain.as_deref())?).await?;
    Ok(Answer::empty())
}

/// Whether a domain has, in each filtered field, one of the values.
fn meets_all(domain: &CustomDomain, filters: &[Filter]) -> Result<bool, ApiError> {
    for (index, filter) in filters.iter().enumerate() {
        let found: Vec<&str> = match filter.name.as_str() {
            "Domain" => vec![&domain.domain],
            "Protocol" => vec![domains::protocol_word(domain.protocol)],
            "Namespace" => domain.endpoints.iter().map(|endpoint| endpoint.namespace.as_str()).collect(),
            "FunctionName" => domain.endpoints.iter().map(|endpoint| endpoint.function.as_str()).collect(),
            other => {
                let allowed = "use Domain, Protocol, Namespace or FunctionName";
                let problem = format!("{} is not allowed; {allowed}", quoted(other));
                return Err(invalid(ErrorCode::INVALID_VALUE_FILTERS, &format!("Filters.{index}.Name"), problem));
            }
        };
        if !filter.values.iter().any(|value| found.contains(&value.as_str())) {
            return Ok(false);
        }
    }
    Ok(true)
}
