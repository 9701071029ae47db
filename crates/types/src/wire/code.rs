//! Sources of a function's code.

use serde::{Deserialize, Serialize};

/// `Code`: an image, or a source of a code package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Code {
    /// The image.
    pub image_config: Option<ImageConfig>,
    /// Code package in Base64.
    pub zip_file: Option<String>,
    /// Bucket of the code package.
    pub cos_bucket_name: Option<String>,
    /// Path of the code package in its bucket.
    pub cos_object_name: Option<String>,
    /// Region of the bucket.
    pub cos_bucket_region: Option<String>,
    /// Id of a demo.
    pub demo_id: Option<String>,
    /// Code package uploaded by the console.
    pub temp_cos_object_name: Option<String>,
    /// Git repository of the code.
    pub git_url: Option<String>,
}

/// `ImageConfig`: an image and its start parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `personal` or `enterprise`.
    pub image_type: Option<String>,
    /// `{domain}/{namespace}/{image}:{tag}@{digest}`.
    pub image_uri: Option<String>,
    /// `tcr-…` of an enterprise registry.
    pub registry_id: Option<String>,
    /// Deprecated in favour of `Command`.
    pub entry_point: Option<String>,
    /// Replaces the image's entry point, split on blanks.
    pub command: Option<String>,
    /// The same as a list of words that are not split; excludes `Command`.
    pub command_list: Option<Vec<String>>,
    /// Replaces the image's CMD, split on blanks.
    pub args: Option<String>,
    /// The same as a list of words that are not split; excludes `Args`.
    pub args_list: Option<Vec<String>>,
    /// Whether to load the image on demand.
    pub container_image_accelerate: Option<bool>,
    /// Port of the server; −1 for a job image.
    pub image_port: Option<i64>,
}
