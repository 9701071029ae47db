//! Names of an installation, visible to functions and API clients.

use serde::{Deserialize, Serialize};

/// Region and account of an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Name of its region: `TENCENTCLOUD_REGION`, `X-Scf-Region`.
    pub region: String,
    /// Number of its account, part of the names of cloud resources: `TENCENTCLOUD_APPID`,
    /// `X-Scf-Appid`.
    pub app_id: String,
    /// Number of its user: `TENCENTCLOUD_UIN`, `X-Scf-Uin`.
    pub uin: String,
}
