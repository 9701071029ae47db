//! Shapes of the actions on versions. Every field of a request is optional, so that validation can
//! say which is missing.

use serde::{Deserialize, Serialize};

/// `PublishVersion`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishVersionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub description: Option<String>,
    /// Extension: the number, above all that were published.
    pub function_version: Option<String>,
    /// Extension: publish only while this is the `RevisionId` that `GetFunction` answers.
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
    /// The names of this page.
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

/// `DeleteFunctionVersion`. `ForceDelete` is ignored: nothing new reaches the version, and what
/// runs ends within its time limit.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteFunctionVersionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
}
