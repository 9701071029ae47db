//! Request and answer types of the actions on versions. Every request field is optional, so that
//! validation can name the missing one.

use serde::{Deserialize, Serialize};

/// `PublishVersion`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishVersionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub description: Option<String>,
    /// Extension: the number; must exceed all published ones.
    pub function_version: Option<String>,
    /// Extension: publishes only if `GetFunction` still returns this `RevisionId`.
    pub revision_id: Option<String>,
}

/// Answer of `PublishVersion`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishVersionAnswer {
    pub function_version: String,
    pub code_size: u64,
    pub memory_size: u32,
    pub description: String,
    pub handler: String,
    pub timeout: u32,
    pub runtime: &'static str,
    pub namespace: String,
}

/// `ListVersionByFunction`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersionByFunctionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub offset: Option<i64>,
    pub limit: Option<i64>,
    pub order: Option<String>,
    pub order_by: Option<String>,
}

/// Answer of `ListVersionByFunction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersionByFunctionAnswer {
    /// Version names of this page.
    pub function_version: Vec<String>,
    /// This page.
    pub versions: Vec<FunctionVersion>,
    /// All versions.
    pub total_count: usize,
}

/// One version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionVersion {
    pub version: String,
    pub description: String,
    pub add_time: String,
    pub mod_time: String,
    pub status: &'static str,
}

/// `DeleteFunctionVersion`. `ForceDelete` is ignored: the version gets no new calls, and running
/// ones end within its timeout.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteFunctionVersionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
}
