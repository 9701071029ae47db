//! Where a function's content comes from.

use serde::{Deserialize, Serialize};

/// `Code`: an image, or one of the ways to hand over a code package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Code {
    /// The image.
    pub image_config: Option<ImageConfig>,
    /// Code package, Base64.
    pub zip_file: Option<String>,
    /// Bucket of a code package.
    pub cos_bucket_name: Option<String>,
    /// Path of a code package in its bucket.
    pub cos_object_name: Option<String>,
    /// Region of the bucket.
    pub cos_bucket_region: Option<String>,
    /// A demo to start from.
    pub demo_id: Option<String>,
    /// A package that the console has uploaded.
    pub temp_cos_object_name: Option<String>,
    /// A repository to take the code from.
    pub git_url: Option<String>,
}

/// `ImageConfig`: an image and how it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `personal` or `enterprise`.
    pub image_type: Option<String>,
    /// `{domain}/{namespace}/{image}:{tag}@{digest}`.
    pub image_uri: Option<String>,
    /// `tcr-…` of an enterprise registry.
    pub registry_id: Option<String>,
    /// Being retired; `Command` takes its place.
    pub entry_point: Option<String>,
    /// Replaces the image's entry point, split on blanks.
    pub command: Option<String>,
    /// The same as words that stay as they are; excludes `Command`.
    pub command_list: Option<Vec<String>>,
    /// Replaces the image's CMD, split on blanks.
    pub args: Option<String>,
    /// The same as words that stay as they are; excludes `Args`.
    pub args_list: Option<Vec<String>>,
    /// Load the image on demand.
    pub container_image_accelerate: Option<bool>,
    /// Where the server listens; −1 for a job image.
    pub image_port: Option<i64>,
}
