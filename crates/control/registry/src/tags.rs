//! Lists of names: tags of a repository, and repositories.

use axum::response::Response;
use http::request::Parts;

use crate::RegistryState;
use crate::names::Repository;
use crate::paging::Page;
use crate::problem::Problem;

/// `GET /v2/NAME/tags/list`.
pub(crate) async fn list(shared: &RegistryState, parts: &Parts, repository: &Repository) -> Result<Response, Problem> {
    let page = Page::of(parts, shared.config.page_len_max)?;
    let mut tags = shared.repositories.tags(repository).await?.ok_or_else(|| Problem::name_unknown(repository))?;
    tags.sort_by_cached_key(|tag| tag_order(tag));
    let (tags, next) = page.cut(tags, |tag| tag, tag_order);
    let body = serde_json::json!({ "name": repository.as_str(), "tags": tags });
    Ok(page.answer(parts.uri.path(), None, next.as_deref(), &body, "application/json"))
}

/// `GET /v2/_catalog`.
pub(crate) async fn catalog(shared: &RegistryState, parts: &Parts) -> Result<Response, Problem> {
    let page = Page::of(parts, shared.config.page_len_max)?;
    let mut names = shared.repositories.names().await?;
    names.sort();
    let (names, next) = page.cut(names, Repository::as_str, str::to_owned);
    let names: Vec<_> = names.iter().map(Repository::as_str).collect();
    let body = serde_json::json!({ "repositories": names });
    Ok(page.answer(parts.uri.path(), None, next.as_deref(), &body, "application/json"))
}

/// The specification's order: case-insensitive, with case as the tie-breaker.
fn tag_order(tag: &str) -> (String, String) {
    (tag.to_ascii_lowercase(), tag.to_owned())
}
