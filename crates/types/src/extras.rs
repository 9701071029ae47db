//! Settings of a version for which the reference's API has no fields. On the wire they are the
//! object `Sampan` of requests and answers ([`crate::wire::Extras`]).

use serde::{Deserialize, Serialize};

use crate::PortRange;
use crate::egress::Egress;
use crate::mount::Mount;
use crate::secret_file::SecretFile;

/// Sampan's own settings of a version; unset ones follow the operator's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// CPU in thousandths of a core; by default proportional to memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// Size of `/dev/shm`, in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_mb: Option<u32>,
    /// Open files of each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_max: Option<u32>,
    /// Processes and threads of an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u32>,
    /// Egress list; without it everything that the operator does not deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Mounted volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Ports of the host's loopback that instances reach at `host.sampan.internal`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<u16>,
    /// Size of a `/tmp` on disk, in MB; by default `/tmp` is in memory with the operator's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp_mb: Option<u32>,
    /// Secrets mounted as files below `/run/secrets`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<SecretFile>,
}

impl Extras {
    /// Whether no setting is set; such an object is not stored.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The operator's upper limits for one function's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Memory size in MB.
    pub memory_mb: u32,
    /// The configuration key of this limit.
    pub memory_setting: &'static str,
    /// CPU in thousandths of a core.
    pub cpu_milli: u32,
    /// Open files of each process.
    pub files: u32,
    /// Processes and threads of an instance.
    pub pids: u32,
    /// Bytes of all environment variables, names and values.
    pub environment_bytes: usize,
    /// Smallest user and group id on disk that a mount may have.
    pub volume_id_min: u32,
    /// Ports of the host's loopback; none by default.
    pub host_ports: Vec<PortRange>,
    /// Size of a `/tmp` on disk, in MB.
    pub tmp_mb: u32,
    /// The configuration key of this limit.
    pub tmp_setting: &'static str,
}

impl Default for Bounds {
    /// The limits of the reference's contract.
    fn default() -> Self {
        Self {
            memory_mb: crate::limits::MEMORY_MB_MAX,
            memory_setting: "[launcher] memory_mb_max",
            cpu_milli: 1_000,
            files: 1_048_576,
            pids: 32_768,
            environment_bytes: crate::limits::ENVIRONMENT_BYTES_MAX,
            volume_id_min: crate::mount::OWNER_DEFAULT,
            host_ports: Vec::new(),
            tmp_mb: 10_240,
            tmp_setting: "[volumes] tmp_mb_max",
        }
    }
}
