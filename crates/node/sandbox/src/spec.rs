//! The caller's description of an instance.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use network::{EgressSpec, HostAccess};
use types::{InstanceId, SecretBytes};

use crate::root::RootFacts;
use crate::runtime::Runtime;

/// A directory of the host that is mounted into an instance.
pub struct Mount {
    /// Its name in errors.
    pub name: String,
    /// The directory, which may be opened with `O_PATH`. Mounts below it are not visible.
    pub source: Arc<OwnedFd>,
    /// Absolute path inside.
    pub target: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// User and group on disk that map to the instance's user, by an idmapped mount; other users
    /// and groups follow these. `None` where ids on disk are those of the host.
    pub owner: Option<(u32, u32)>,
}

/// A secret that is a file in an instance.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// Its path below `/run/secrets`.
    pub path: String,
    /// Its content.
    pub content: SecretBytes,
}

/// An instance to start.
pub struct LaunchSpec {
    /// Its id; names its cgroup.
    pub id: InstanceId,
    /// Owner in the fair queue of starts.
    pub owner: String,
    /// Read-only directories of the root, topmost first.
    pub lower_dirs: Vec<PathBuf>,
    /// Command, the program first; looked up on `PATH` of `env` when it has no slash.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Absolute directory to start in; `/` when empty.
    pub working_dir: String,
    /// Directories for data that the image's config declares; created with the user as owner where
    /// its layers lack them.
    pub volumes: Vec<String>,
    /// Directories of the host that are mounted into it, none inside another.
    pub mounts: Vec<Mount>,
    /// A detached mount for `/tmp`, over the image's directory and instead of the one in memory;
    /// its owner becomes the instance's root.
    pub tmp: Option<OwnedFd>,
    /// Secrets as files of its user.
    pub secrets: Vec<SecretFile>,
    /// Cached facts of the root with these layers, user, volumes and working directory: pass the
    /// same value to every start with them, so that only the first one reads the image.
    pub root_facts: Arc<RootFacts>,
    /// `user[:group]`, names of the image or numbers; root when empty.
    pub user: String,
    /// Host name inside.
    pub hostname: String,
    /// Memory of all processes together, the writable layer's files included, in bytes.
    pub memory_bytes: u64,
    /// Processor time in each 100 ms, in microseconds: 100,000 is one core.
    pub cpu_quota_us: u64,
    /// The same during the start, until [`crate::Sandbox::wait_listening`] has found its server.
    pub cpu_start_quota_us: u64,
    /// Processes and threads at once.
    pub pids_max: u64,
    /// Open files of a process.
    pub files_max: u64,
    /// Size of `/dev/shm`, in bytes, if it differs from the configured one.
    pub shm_bytes: Option<u64>,
    /// An OCI runtime that isolates it; `None` for Sampan's own isolation.
    pub runtime: Option<Runtime>,
    /// Whether an init runs the command as its child: it forwards signals, reaps zombies, and exits
    /// as the command does.
    pub init: bool,
    /// Whether it has egress, where this machine supports that.
    pub public_network: bool,
    /// The list of destinations that it may reach, and the receiver of refused ones; without it,
    /// every destination that is not denied.
    pub egress: Option<EgressSpec>,
    /// Ports of this machine that it reaches by its link, if it has one.
    pub host_access: Option<HostAccess>,
    /// Destination of standard output.
    pub stdout: OwnedFd,
    /// Destination of standard error.
    pub stderr: OwnedFd,
}
