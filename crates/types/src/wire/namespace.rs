//! Request and answer types of the actions on namespaces.

use serde::{Deserialize, Serialize};

/// `CreateNamespace`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNamespaceRequest {
    /// Name, required.
    pub namespace: Option<String>,
    /// Free text.
    pub description: Option<String>,
}

/// `UpdateNamespace`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateNamespaceRequest {
    /// Name, required.
    pub namespace: Option<String>,
    /// Free text, required.
    pub description: Option<String>,
}

/// `DeleteNamespace`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteNamespaceRequest {
    /// Name, required.
    pub namespace: Option<String>,
}

/// `ListNamespaces`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListNamespacesRequest {
    /// Maximum number of entries.
    pub limit: Option<i64>,
    /// Number of entries to skip.
    pub offset: Option<i64>,
    /// `Name` or `Updatetime`.
    pub orderby: Option<String>,
    /// `ASC` or `DESC`.
    pub order: Option<String>,
    /// Conditions, joined by AND.
    pub search_key: Option<Vec<SearchKey>>,
}

/// A condition of [`ListNamespacesRequest`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SearchKey {
    /// `Namespace` or `Description`.
    pub key: Option<String>,
    /// Value to search for.
    pub value: Option<String>,
}

/// Answer of `ListNamespaces`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListNamespacesAnswer {
    /// This page.
    pub namespaces: Vec<NamespaceEntry>,
    /// All matches.
    pub total_count: usize,
}

/// One namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamespaceEntry {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Always `default`.
    pub r#type: &'static str,
    /// When it was created, local time.
    pub add_time: String,
    /// When it was last changed, local time.
    pub mod_time: String,
}
