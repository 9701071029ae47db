//! Actions on aliases.

mod wire;

use store::{AliasChange, NewAlias};
use types::{AliasRecord, ErrorCode};

use self::wire::{AliasRequest, ListAliasesAnswer, ListAliasesRequest, NameRequest};
use super::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::render::alias;
use crate::validate::{aliases, filled, names, paging, required, scalars};

/// `CreateAlias`.
pub(super) async fn create(cx: &Context, params: Params) -> Outcome {
    let request: AliasRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let new = NewAlias {
        key,
        // Every function has the alias `$DEFAULT` already; the store refuses the name.
        name: aliases::name(required("Name", filled(request.name.as_deref()))?)?.to_owned(),
        route: aliases::route(request.function_version.as_deref(), request.routing_config.as_ref())?,
        description: scalars::description(request.description.as_deref().unwrap_or_default())?,
    };
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_CREATE_ALIAS, ..StoreCodes::default() };
    cx.store.create_alias(new).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}

/// `UpdateAlias`: replaces the whole route; an omitted description is unchanged.
pub(super) async fn update(cx: &Context, params: Params) -> Outcome {
    let request: AliasRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let name = aliases::name(required("Name", filled(request.name.as_deref()))?)?;
    let change = AliasChange {
        route: aliases::route(request.function_version.as_deref(), request.routing_config.as_ref())?,
        description: request.description.as_deref().map(scalars::description).transpose()?,
    };
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_UPDATE_ALIAS, ..StoreCodes::default() };
    cx.store.update_alias(&key, name, change).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}

/// `GetAlias`.
pub(super) async fn get(cx: &Context, params: Params) -> Outcome {
    let request: NameRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let name = aliases::name(required("Name", filled(request.name.as_deref()))?)?;
    let function = cx.store.function(&key).await?;
    match function.aliases.get(name) {
        Some(found) => Ok(Answer::of(&alias::shown(found, cx.config.utc_offset))),
        None => Err(store::Error::AliasNotFound { key, name: name.to_owned() }.into()),
    }
}

/// `ListAliases`, by name.
pub(super) async fn list(cx: &Context, params: Params) -> Outcome {
    let request: ListAliasesRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let number = |field, text: &Option<String>| paging::number(field, filled(text.as_deref()));
    let (offset, limit) = (number("Offset", &request.offset)?, number("Limit", &request.limit)?);
    let page = paging::page(offset, limit, cx.config.page_len_max)?;
    let of_version = filled(request.function_version.as_deref());
    let of_version = of_version.map(|text| aliases::version("FunctionVersion", text)).transpose()?;
    let function = cx.store.function(&key).await?;
    let related =
        |alias: &&AliasRecord| of_version.is_none_or(|wanted| alias.route.versions().any(|version| version == wanted));
    let all: Vec<_> = function.aliases.values().filter(related).collect();
    let total_count = all.len();
    let aliases = page.cut(all).into_iter().map(|record| alias::shown(record, cx.config.utc_offset)).collect();
    Ok(Answer::of(&ListAliasesAnswer { aliases, total_count }))
}

/// `DeleteAlias`.
pub(super) async fn delete(cx: &Context, params: Params) -> Outcome {
    let request: NameRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let name = aliases::name(required("Name", filled(request.name.as_deref()))?)?;
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_DELETE_ALIAS, ..StoreCodes::default() };
    cx.store.delete_alias(&key, name).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}
