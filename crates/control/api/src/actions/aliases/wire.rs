//! Request and answer types of the actions on aliases. Every request field is optional, so that
//! validation can name the missing one.

use serde::{Deserialize, Serialize};

use crate::render::alias::Alias;
use crate::validate::aliases::RoutingConfig;

/// `CreateAlias` and `UpdateAlias`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AliasRequest {
    pub name: Option<String>,
    pub function_name: Option<String>,
    pub function_version: Option<String>,
    pub namespace: Option<String>,
    pub routing_config: Option<RoutingConfig>,
    pub description: Option<String>,
}

/// `GetAlias` and `DeleteAlias`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NameRequest {
    pub name: Option<String>,
    pub function_name: Option<String>,
    pub namespace: Option<String>,
}

/// `ListAliases`; its numbers are strings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAliasesRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub function_version: Option<String>,
    pub offset: Option<String>,
    pub limit: Option<String>,
}

/// Answer of `ListAliases`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAliasesAnswer {
    /// This page.
    pub aliases: Vec<Alias>,
    /// All matches.
    pub total_count: usize,
}
