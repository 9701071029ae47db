//! Objects of the cloud around a function: networks, file systems, queues, layers. An installation
//! stores and returns them; `CfsConfig`, `DeadLetterConfig` and `PublicNetConfig` also take effect.

use serde::{Deserialize, Serialize};

/// `VpcConfig`: a private network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VpcConfig {
    /// Id of the network.
    pub vpc_id: String,
    /// Id of the subnet.
    pub subnet_id: String,
}

/// `DeadLetterConfig`: destination of events that could not be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetterConfig {
    /// Kind of queue.
    pub r#type: String,
    /// Name of the queue.
    pub name: String,
    /// Tag filter of a topic.
    pub filter_type: String,
}

/// `PublicNetConfig` of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PublicNetConfigIn {
    /// `ENABLE` or `DISABLE`.
    pub public_net_status: Option<String>,
    /// Fixed egress address.
    pub eip_config: Option<EipConfigIn>,
}

/// `EipConfig` within [`PublicNetConfigIn`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EipConfigIn {
    /// `ENABLE` or `DISABLE`.
    pub eip_status: Option<String>,
}

/// `PublicNetConfig` of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicNetConfigOut {
    /// `ENABLE` or `DISABLE`.
    pub public_net_status: String,
    /// Fixed egress address.
    pub eip_config: EipConfigOut,
}

/// `EipConfig` within [`PublicNetConfigOut`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EipConfigOut {
    /// `ENABLE` or `DISABLE`.
    pub eip_status: String,
    /// The addresses.
    pub eip_address: Vec<String>,
}

/// `EipConfig` at the top of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EipOutConfig {
    /// `TRUE` or `FALSE`.
    pub eip_fixed: String,
    /// The addresses.
    pub eips: Vec<String>,
}

/// `IntranetConfig` of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IntranetConfigIn {
    /// `ENABLE` or `DISABLE`.
    pub ip_fixed: Option<String>,
}

/// `IntranetConfig` of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IntranetConfigOut {
    /// `ENABLE` or `DISABLE`.
    pub ip_fixed: String,
    /// The addresses.
    pub ip_address: Vec<String>,
}

/// `CfsConfig`: file systems to mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CfsConfig {
    /// One entry per mount.
    pub cfs_ins_list: Vec<CfsInsInfo>,
}

/// One mount of [`CfsConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CfsInsInfo {
    /// User id.
    pub user_id: String,
    /// Group id.
    pub user_group_id: String,
    /// Id of the file system.
    pub cfs_id: String,
    /// Id of its mount point.
    pub mount_ins_id: String,
    /// Directory in the instance.
    pub local_mount_dir: String,
    /// Directory of the file system.
    pub remote_mount_dir: String,
    /// Address of the file system.
    pub ip_address: Option<String>,
    /// Network of the file system.
    pub mount_vpc_id: Option<String>,
    /// Subnet of the file system.
    pub mount_subnet_id: Option<String>,
}

/// A layer that a code function binds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LayerVersionSimple {
    /// Name of the layer; empty to unbind.
    pub layer_name: String,
    /// Its version; 0 to unbind.
    pub layer_version: i64,
}

/// `AccessInfo`: address of the function; always empty on this platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessInfo {
    /// Domain.
    pub host: String,
    /// Address.
    pub vip: String,
}
