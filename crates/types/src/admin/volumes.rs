//! Messages of the administrative endpoint for volumes. Pure.

use serde::{Deserialize, Serialize};

use crate::VolumeName;

/// Path of the endpoint.
pub const PATH: &str = "/admin/volumes";
/// The action that its requests sign.
pub const ACTION: &str = "AdministerVolumes";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Lists volumes.
    List {},
    /// Creates a volume.
    Create {
        /// Its name.
        name: VolumeName,
        /// Its settings, with the keys of `[volumes.NAME]`.
        settings: serde_json::Value,
    },
    /// Deletes a volume that no function mounts.
    Delete {
        /// Its name.
        name: VolumeName,
    },
    /// Grows an image volume.
    Grow {
        /// Its name.
        name: VolumeName,
        /// Its new size.
        size_mb: u64,
    },
    /// Measures the usage of a volume.
    Usage {
        /// Its name.
        name: VolumeName,
    },
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Response to `List`.
    Volumes(Vec<Volume>),
    /// Response to `Create`.
    Created(Volume),
    /// Response to `Delete`.
    Deleted {
        /// A directory of the operator, which is not deleted.
        kept: Option<String>,
    },
    /// Response to `Grow`.
    Grown {
        /// True if the new size is effective; false if it is from the next start on.
        now: bool,
    },
    /// Response to `Usage`.
    Usage(Usage),
    /// A failed request.
    Refused {
        /// HTTP status.
        status: u16,
        /// The reason.
        message: String,
    },
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// `dir`, `tmpfs` or `image`.
    pub kind: String,
    /// Its directory on the machine.
    pub path: Option<String>,
    /// Its size limit, if any.
    pub size_mb: Option<u64>,
    /// Whether ids on disk are the file system's own: its mounts are not idmapped.
    pub squash: bool,
    /// Whether functions may only read it.
    pub read_only: bool,
    /// `settings` or `command`.
    pub origin: String,
    /// Why it cannot be mounted now, if so.
    pub problem: Option<String>,
    /// Functions with a version that mounts it, as `namespace/name`.
    pub mounted_by: Vec<String>,
}

/// Usage of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
    /// Size of its file system, in bytes; for an image or a tmpfs without the file system's own
    /// metadata.
    #[serde(default)]
    pub size_bytes: u64,
    /// Free bytes of its file system.
    pub free_bytes: u64,
    /// Whether the scan timed out, so that the counts are too low.
    pub cut_short: bool,
}
