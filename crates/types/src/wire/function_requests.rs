//! Requests of the actions on functions.

use serde::Deserialize;

use super::{
    CfsConfig, Code, DeadLetterConfig, Environment, Extras, Filter, InstanceConcurrencyConfig, IntranetConfigIn,
    LayerVersionSimple, ProtocolParams, PublicNetConfigIn, Tag, VpcConfig,
};

/// `CreateFunction`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct CreateFunctionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub code: Option<Code>,
    pub r#type: Option<String>,
    pub async_run_enable: Option<String>,
    pub trace_enable: Option<String>,
    pub protocol_type: Option<String>,
    pub tags: Option<Vec<Tag>>,
    pub handler: Option<String>,
    pub runtime: Option<String>,
    pub layers: Option<Vec<LayerVersionSimple>>,
    pub install_dependency: Option<String>,
    pub description: Option<String>,
    pub memory_size: Option<i64>,
    pub timeout: Option<i64>,
    pub init_timeout: Option<i64>,
    pub environment: Option<Environment>,
    pub instance_concurrency_config: Option<InstanceConcurrencyConfig>,
    pub protocol_params: Option<ProtocolParams>,
    pub dead_letter_config: Option<DeadLetterConfig>,
    pub on_success: Option<String>,
    pub on_failure: Option<String>,
    pub public_net_config: Option<PublicNetConfigIn>,
    pub vpc_config: Option<VpcConfig>,
    pub intranet_config: Option<IntranetConfigIn>,
    pub cfs_config: Option<CfsConfig>,
    pub role: Option<String>,
    pub dns_cache: Option<String>,
    pub cls_logset_id: Option<String>,
    pub cls_topic_id: Option<String>,
    /// Extension: settings that the reference has no fields for.
    pub sampan: Option<Extras>,
}

/// `UpdateFunctionConfiguration`; omitted settings are unchanged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct UpdateFunctionConfigurationRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub publish: Option<String>,
    pub runtime: Option<String>,
    pub layers: Option<Vec<LayerVersionSimple>>,
    pub install_dependency: Option<String>,
    pub description: Option<String>,
    pub memory_size: Option<i64>,
    pub timeout: Option<i64>,
    pub init_timeout: Option<i64>,
    pub environment: Option<Environment>,
    pub instance_concurrency_config: Option<InstanceConcurrencyConfig>,
    pub protocol_params: Option<ProtocolParams>,
    pub dead_letter_config: Option<DeadLetterConfig>,
    pub on_success: Option<String>,
    pub on_failure: Option<String>,
    pub public_net_config: Option<PublicNetConfigIn>,
    pub vpc_config: Option<VpcConfig>,
    pub intranet_config: Option<IntranetConfigIn>,
    pub cfs_config: Option<CfsConfig>,
    pub role: Option<String>,
    pub dns_cache: Option<String>,
    pub cls_logset_id: Option<String>,
    pub cls_topic_id: Option<String>,
    #[serde(rename = "L5Enable")]
    pub l5_enable: Option<String>,
    pub ignore_sys_log: Option<bool>,
    /// Extension: settings that the reference has no fields for.
    pub sampan: Option<Extras>,
}

/// `UpdateFunctionCode`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct UpdateFunctionCodeRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub code: Option<Code>,
    pub publish: Option<String>,
    pub zip_file: Option<String>,
    pub cos_bucket_name: Option<String>,
    pub cos_object_name: Option<String>,
    pub install_dependency: Option<String>,
}

/// `GetFunction`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct GetFunctionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
}

/// `DeleteFunction`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct DeleteFunctionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub qualifier: Option<String>,
}

/// `CopyFunction`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct CopyFunctionRequest {
    pub function_name: Option<String>,
    pub namespace: Option<String>,
    pub new_function_name: Option<String>,
    pub target_namespace: Option<String>,
    pub target_region: Option<String>,
    pub description: Option<String>,
    pub r#override: Option<bool>,
    pub copy_configuration: Option<bool>,
}

/// `ListFunctions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The names are the API's; the contract documents them.
pub struct ListFunctionsRequest {
    pub namespace: Option<String>,
    pub order: Option<String>,
    pub orderby: Option<String>,
    pub offset: Option<i64>,
    pub limit: Option<i64>,
    pub search_key: Option<String>,
    pub description: Option<String>,
    pub filters: Option<Vec<Filter>>,
}
