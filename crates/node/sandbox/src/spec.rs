//! What the caller wants started.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use network::{EgressSpec, HostAccess};
use types::{InstanceId, SecretBytes};

use crate::root::RootFacts;
use crate::runtime::Runtime;

/// A directory of the host that an instance has.
pub struct Mount {
    /// What errors call it.
    pub name: String,
    /// The directory, which may be opened for its path alone. What is mounted below it is not seen.
    pub source: Arc<OwnedFd>,
    /// Absolute path inside.
    pub target: String,
    /// Whether nothing can be changed through it.
    pub read_only: bool,
    /// User and group on disk that the instance's user is, by an idmapped mount; other users and
    /// groups follow these. Nothing where ids on disk are those of the host.
    pub owner: Option<(u32, u32)>,
}

/// A secret that an instance has as a file.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// Its path below `/run/secrets`.
    pub path: String,
    /// What is in it.
    pub content: SecretBytes,
}

/// One instance to be started.
pub struct LaunchSpec {
    /// Its id; names its cgroup.
    pub id: InstanceId,
    /// Whose it is: starts of one owner take turns with those of others.
    pub owner: String,
    /// Read-only directories that make up the root, topmost first.
    pub lower_dirs: Vec<PathBuf>,
    /// Command, the program first; looked up on `PATH` of `env` when it has no slash.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Absolute directory to start in; `/` when empty.
    pub working_dir: String,
    /// Directories for data that the image's config declares; made where its layers lack them, as
    /// the user's.
    pub volumes: Vec<String>,
    /// Directories of the host that it has, none inside another.
    pub mounts: Vec<Mount>,
    /// A detached mount to be its `/tmp`, whatever the image has there, in the place of the one in
    /// memory; it becomes the instance's root's.
    pub tmp: Option<OwnedFd>,
    /// Secrets in files of its user.
    pub secrets: Vec<SecretFile>,
    /// What is known of the root by these layers, user, volumes and working directory: the same
    /// value for every start with them, so that only the first one reads it.
    pub root_facts: Arc<RootFacts>,
    /// `user[:group]`, names of the image or numbers; root when empty.
    pub user: String,
    /// Host name inside.
    pub hostname: String,
    /// Memory of all processes together, the writable layer's files included, in bytes.
    pub memory_bytes: u64,
    /// Processor time in each 100 ms, in microseconds: 100,000 is one core.
    pub cpu_quota_us: u64,
    /// The same until [`crate::Sandbox::wait_listening`] has found its server.
    pub cpu_start_quota_us: u64,
    /// Processes and threads at once.
    pub pids_max: u64,
    /// Open files of a process.
    pub files_max: u64,
    /// Size of `/dev/shm`, in bytes, where it is not that of the settings.
    pub shm_bytes: Option<u64>,
    /// Another runtime that isolates it; our own isolation where there is none.
    pub runtime: Option<Runtime>,
    /// Whether an init runs the command as its child: it passes signals on, reaps what ends, and
    /// ends as the command does.
    pub init: bool,
    /// Whether it reaches the world outside, where this machine can do that.
    pub public_network: bool,
    /// The list of what it may reach there, and who hears of refusals; whatever is not denied
    /// where there is none.
    pub egress: Option<EgressSpec>,
    /// Ports of this machine that it reaches by its link, where it has one.
    pub host_access: Option<HostAccess>,
    /// Where standard output goes.
    pub stdout: OwnedFd,
    /// Where standard error goes.
    pub stderr: OwnedFd,
}
