//! Sandboxes: directories, a command and limits become an isolated running process.
//!
//! Owns instances' processes, namespaces, cgroups and writable layers, from start to removal.
//!
//! # What an instance is
//! The given command is pid 1 in namespaces of its own (pid, mount, network, ipc, uts, cgroup,
//! user), as a range of host ids that no other running instance has. Its root is an overlay of the
//! given directories, idmapped so that files show the owners the image gave them, under a bounded
//! tmpfs. It has no new privileges, a short list of capabilities, a system call filter, limits, and
//! a network of its own: a loopback and, if it is to reach the outside, one link (`network`). It
//! sees its own cgroups at `/sys/fs/cgroup`, read-only.
//!
//! # Its writable layer
//! A tmpfs of a bounded size, mounted by the instance's first process after it has joined its
//! cgroup: what is written there, and to `/tmp`, counts as memory of the instance, so that an
//! instance that writes more than its memory is killed by the OOM killer, and files never outlive
//! it. Files under a project quota would not count as memory, but only some file systems have one;
//! creating and removing a loop device takes longer than the rest of a start.
//!
//! # Other runtimes
//! An instance may be made by `runc`, `crun` or `runsc` instead ([`Runtime`]): cgroup, network,
//! root and output are as above, and the runtime is the instance's first process, so that the
//! kernel ends all others with it.
//!
//! # On disk
//! ```text
//! <dir>/stage    empty; each instance builds its root over it, in its own mount namespace
//! <dir>/id       the installation's id, with the device and inode of <dir>, see `installation`
//! ```
//! Nothing else: the writable layer goes with its mount namespace, and an instance's namespaces go
//! with its processes; no mount is ever made in the host's namespace. A killed platform leaves
//! processes and cgroup directories `sampan-<id>/<number>`, at the root of each cgroup hierarchy.
#![forbid(unsafe_code)]

mod capabilities;
mod cgroup;
mod chores;
mod config;
mod connector;
mod demand;
mod devices;
mod disk_ids;
mod doctor;
mod environment;
mod error;
mod etc_files;
mod fair_queue;
mod handle;
mod host;
mod id_map;
mod identity;
mod init_spec;
mod installation;
mod instance;
mod killer;
mod listening;
mod masks;
mod memory;
mod mounts;
mod phases;
mod prewarm_metrics;
mod prewarm_pool;
mod reaper;
mod rlimits;
mod root;
mod runtime;
mod seccomp;
mod secrets;
mod spec;
mod stop;
mod users;
mod workers;

pub use config::Config;
pub use doctor::{Check, CheckStatus, doctor};
pub use error::Error;
pub use handle::{Recovered, Sandboxes};
pub use instance::Sandbox;
pub use listening::{Listener, NotListening};
/// `[network]`.
pub use network::Config as NetworkConfig;
pub use network::ipv6_off;
pub use network::{EgressSpec, GATEWAY_NAME, GatewayConnection, HostAccess, Refused};
pub use root::RootFacts;
pub use runtime::{NotFound as RuntimeNotFound, OWN as OWN_RUNTIME, Runtime};
pub use secrets::is_never_swapped;
pub use spec::{LaunchSpec, Mount, SecretFile};
pub use types::{ExitStatus, NetworkBytes};
