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
    /// Makes one.
    Create {
        /// Its name.
        name: VolumeName,
        /// Its settings, by the keys of `[volumes.NAME]`.
        settings: serde_json::Value,
    },
    /// Deletes one that no function mounts.
    Delete {
        /// Its name.
        name: VolumeName,
    },
    /// Makes an image larger.
    Grow {
        /// Its name.
        name: VolumeName,
        /// Its new size.
        size_mb: u64,
    },
    /// Looks how much one holds.
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
        /// A directory that was given to the volume, and stays.
        kept: Option<String>,
    },
    /// Response to `Grow`.
    Grown {
        /// Whether it is by now; else it is from the next start on.
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
    /// Its size, where it has one.
    pub size_mb: Option<u64>,
    /// Whether ids are those of the file system.
    pub squash: bool,
    /// Whether functions may only read it.
    pub read_only: bool,
    /// `settings` or `command`.
    pub origin: String,
    /// Why it cannot be mounted now.
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
    /// Bytes of the file system that it is on; of an image or a tmpfs its size less what that takes
    /// itself.
    #[serde(default)]
    pub size_bytes: u64,
    /// Bytes that are free where it is.
    pub free_bytes: u64,
    /// Whether the look took too long, so that there is more.
    pub cut_short: bool,
}
