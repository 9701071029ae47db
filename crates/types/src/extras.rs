//! What a version asks for beyond what the reference's API has fields for. On the wire it is the
//! object `Sampan` of requests and answers ([`crate::wire::Extras`]).

use serde::{Deserialize, Serialize};

use crate::PortRange;
use crate::egress::Egress;
use crate::mount::Mount;
use crate::secret_file::SecretFile;

/// Settings of a version that are Sampan's own; what is not set follows the operator's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// Processor time in thousandths of a core; it follows the memory size where there is none.
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
    /// What its instances may reach; without it whatever the operator does not deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Volumes that instances have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Ports of the machine's loopback that its instances reach as `host.sampan.internal`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<u16>,
    /// Size of a `/tmp` on disk, in MB; in memory, and of the operator's size, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp_mb: Option<u32>,
    /// Secrets that instances have as files below `/run/secrets`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<SecretFile>,
}

impl Extras {
    /// Whether nothing is set, which is not worth storing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The most that one function may ask for, as the operator of this installation has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Memory size in MB.
    pub memory_mb: u32,
    /// The setting that bounds it.
    pub memory_setting: &'static str,
    /// Processor time in thousandths of a core.
    pub cpu_milli: u32,
    /// Open files of each process.
    pub files: u32,
    /// Processes and threads of an instance.
    pub pids: u32,
    /// Bytes of all environment variables, names and values.
    pub environment_bytes: usize,
    /// Least user and group on disk that instances may be on a volume.
    pub volume_id_min: u32,
    /// Ports of the machine's loopback; none by default.
    pub host_ports: Vec<PortRange>,
    /// Size of a `/tmp` on disk, in MB.
    pub tmp_mb: u32,
    /// The setting that bounds it.
    pub tmp_setting: &'static str,
}

impl Default for Bounds {
    /// What the reference's contract allows.
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
