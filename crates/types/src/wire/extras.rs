//! `Sampan`: settings of a version that the reference's API has no fields for.

use serde::{Deserialize, Serialize};

use crate::Extras as Settings;
use crate::egress::Egress;

/// The object `Sampan`. In a request an omitted member is unchanged, and an empty one (0, an empty
/// text or list) removes the setting. An answer has all members, empty where unset, so that it is a
/// valid request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Extras {
    /// CPU in thousandths of a core.
    pub cpu_milli: Option<i64>,
    /// Size of `/dev/shm`, in MB.
    pub shm_mb: Option<i64>,
    /// Open files of each process.
    pub files_max: Option<i64>,
    /// Processes and threads of an instance.
    pub pids_max: Option<i64>,
    /// Egress list, such as `10.0.0.0/8` and `db.example.com:5432`; `none` alone allows nothing.
    pub egress: Option<Vec<String>>,
    /// Mounted volumes.
    pub mounts: Option<Vec<Mount>>,
    /// Ports of the host's loopback that instances reach at `host.sampan.internal`.
    pub host_ports: Option<Vec<i64>>,
    /// Size of a `/tmp` on disk, in MB.
    pub tmp_mb: Option<i64>,
    /// Secrets mounted as files.
    pub secret_files: Option<Vec<SecretFile>>,
}

/// A secret as a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct SecretFile {
    /// Path below `/run/secrets`.
    pub path: String,
    /// The secret: `NAME`, or `NAME@VERSION`.
    pub secret: String,
}

impl From<&crate::SecretFile> for SecretFile {
    fn from(file: &crate::SecretFile) -> Self {
        Self { path: file.full_path(), secret: file.secret.to_string() }
    }
}

/// A mounted volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Mount {
    /// Name of the volume.
    pub volume: String,
    /// Directory in the volume, without a leading slash; empty for the root.
    pub sub: String,
    /// Absolute path in the instance.
    pub path: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// User on disk that the function's user is mapped to.
    pub user_id: Option<u32>,
    /// Group on disk that the function's group is mapped to.
    pub group_id: Option<u32>,
}

impl From<&crate::Mount> for Mount {
    fn from(mount: &crate::Mount) -> Self {
        Self {
            volume: mount.volume.to_string(),
            sub: mount.sub.clone(),
            path: mount.path.clone(),
            read_only: mount.read_only,
            user_id: Some(mount.user_id),
            group_id: Some(mount.group_id),
        }
    }
}

impl From<&Settings> for Extras {
    fn from(settings: &Settings) -> Self {
        let number = |value: Option<u32>| Some(i64::from(value.unwrap_or_default()));
        Self {
            cpu_milli: number(settings.cpu_milli),
            shm_mb: number(settings.shm_mb),
            files_max: number(settings.files_max),
            pids_max: number(settings.pids_max),
            egress: Some(settings.egress.as_ref().map(Egress::entries).unwrap_or_default()),
            mounts: Some(settings.mounts.iter().map(Mount::from).collect()),
            host_ports: Some(settings.host_ports.iter().copied().map(i64::from).collect()),
            tmp_mb: number(settings.tmp_mb),
            secret_files: Some(settings.secret_files.iter().map(SecretFile::from).collect()),
        }
    }
}
