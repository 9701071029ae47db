//! Functions in answers, and types that requests and answers share.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AccessInfo, EipOutConfig, Extras, ImageConfig, IntranetConfigOut, PublicNetConfigOut};
use crate::function::StatusReason;

/// `Environment`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Environment {
    /// The variables, in the order given.
    pub variables: Vec<Variable>,
}

/// One environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Variable {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tag {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A condition of `ListFunctions`: the field has one of the values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    /// Name of the field, or `tag-` and the key of a tag.
    pub name: String,
    /// Values, joined by OR.
    pub values: Vec<String>,
}

/// Answer of `ListFunctions`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFunctionsAnswer {
    /// This page.
    pub functions: Vec<Function>,
    /// All matches.
    pub total_count: u64,
}

/// An entry of a list of functions.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct Function {
    pub function_name: String,
    pub function_id: String,
    pub namespace: String,
    pub runtime: &'static str,
    pub r#type: &'static str,
    pub status: &'static str,
    pub status_desc: String,
    pub status_reasons: Vec<StatusReason>,
    pub description: String,
    pub tags: Vec<Tag>,
    pub async_run_enable: &'static str,
    pub trace_enable: &'static str,
    pub total_provisioned_concurrency_mem: u64,
    pub reserved_concurrency_mem: Option<u64>,
    pub add_time: String,
    pub mod_time: String,
}

/// Serving settings of a version, in the form of a request that would set them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct ServingSettings {
    pub image_config: ImageConfig,
    pub memory_size: u32,
    pub timeout: u32,
    pub init_timeout: u32,
    pub description: String,
    pub environment: Environment,
    pub instance_concurrency_config: Value,
    pub protocol_params: Value,
    pub public_net_config: PublicNetConfigOut,
    pub sampan: Extras,
}

/// Answer of `GetFunction`: one version in full.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct GetFunctionAnswer {
    pub function_name: String,
    pub function_id: String,
    pub namespace: String,
    pub r#type: &'static str,
    pub runtime: &'static str,
    /// Extension: OCI runtime of its instances.
    pub runtime_class: String,
    pub status: &'static str,
    pub status_desc: String,
    pub status_reasons: Vec<StatusReason>,
    pub available_status: &'static str,
    pub description: String,
    pub memory_size: u32,
    pub timeout: u32,
    pub init_timeout: u32,
    pub handler: String,
    pub function_version: String,
    /// Extension, only for `$LATEST`: revision of it and the published versions, for
    /// `PublishVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_id: Option<String>,
    pub qualifier: String,
    pub environment: Environment,
    pub image_config: ImageConfig,
    /// Extension: the serving state after a failed change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingSettings>,
    pub triggers: Vec<Value>,
    pub async_run_enable: &'static str,
    pub trace_enable: &'static str,
    pub dns_cache: String,
    pub instance_concurrency_config: Value,
    pub protocol_type: String,
    pub protocol_params: Value,
    pub dead_letter_config: Value,
    /// Extension: destination of finished events, `fn:NAME` or `http:NAME`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_success: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
    pub public_net_config: PublicNetConfigOut,
    pub intranet_config: IntranetConfigOut,
    pub vpc_config: Value,
    pub eip_config: EipOutConfig,
    pub cfs_config: Value,
    pub layers: Vec<Value>,
    /// Extension: settings that the reference has no fields for.
    pub sampan: Extras,
    pub tags: Vec<Tag>,
    pub role: String,
    pub access_info: AccessInfo,
    #[serde(rename = "L5Enable")]
    pub l5_enable: String,
    pub ons_enable: &'static str,
    pub use_gpu: &'static str,
    pub install_dependency: &'static str,
    pub cls_logset_id: String,
    pub cls_topic_id: String,
    pub code_info: &'static str,
    pub code_size: u64,
    pub code_result: &'static str,
    pub code_error: &'static str,
    pub err_no: i32,
    pub add_time: String,
    pub mod_time: String,
}
