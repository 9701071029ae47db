//! Why a sandbox could not be made.

use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the sandbox's own could not be used.
    #[error("cannot {operation} {path}", path = path.display())]
    Path {
        /// What was being done.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The machine has no cgroup hierarchy with a controller that instances need.
    #[error("no cgroup hierarchy has the controller {controller:?}; enable it, or mount cgroup2 at /sys/fs/cgroup")]
    NoController {
        /// The controller.
        controller: &'static str,
    },
    /// A namespace could not be made.
    #[error("cannot make a {kind} namespace")]
    Namespace {
        /// Which kind.
        kind: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file systems of an instance that is to come could not be mounted.
    #[error("cannot mount the file systems of an instance ahead of its start")]
    Mounts {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// All ranges of host ids, hence all instances, are in use.
    #[error("all {instances_max} instances are in use; raise [sandbox] instances_max")]
    InstancesExhausted {
        /// The limit.
        instances_max: u32,
    },
    /// The ranges of host ids do not fit below the kernel's highest.
    #[error(
        "instances would use host ids up to {last}; lower [sandbox] instances_max, ids_per_instance or id_base, none 0"
    )]
    IdRange {
        /// The id after the last range.
        last: u64,
    },
    /// A part of the machine that cannot be.
    #[error("[sandbox] {key} = {percent} cannot be: it is 1 to 100")]
    Percent {
        /// The key.
        key: &'static str,
        /// Its value.
        percent: u64,
    },
    /// A time for which many are kept ready that cannot be.
    #[error("[sandbox] {key} = {seconds} cannot be: it is 1 to {seconds_max} seconds")]
    ReadySeconds {
        /// The key.
        key: &'static str,
        /// Its value.
        seconds: u64,
        /// The most.
        seconds_max: u64,
    },
    /// Too many starts wait already.
    #[error(
        "{launch_queue_len_max} starts are waiting already; raise [sandbox] launch_queue_len_max or launcher_threads"
    )]
    QueueFull {
        /// The limit.
        launch_queue_len_max: usize,
    },
    /// The image's user is not in its /etc/passwd, or a group not in its /etc/group.
    #[error(
        "{kind} {name:?} does not exist in the image; name one that /etc/passwd and /etc/group have, or use numbers"
    )]
    UnknownIdentity {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The image has something else where the platform mounts what every instance has.
    #[error(
        "the image has {what} at {path}, where every instance has a mount; make it a directory or remove it from the image"
    )]
    InTheWay {
        /// The place.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// The image has something else where the function mounts a volume.
    #[error("the image has {what} at {path}, where a volume is to be mounted; choose another path for the volume")]
    MountPoint {
        /// The place.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// A directory of the host cannot be mounted.
    #[error("cannot mount the volume {name}")]
    Mount {
        /// The volume.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An argument, variable or path has a NUL byte, or is otherwise impossible.
    #[error("{what} {value:?} cannot be used: {reason}")]
    BadSpec {
        /// What it is.
        what: &'static str,
        /// The value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// The program could not be executed.
    #[error("cannot execute {program:?}: {reason}")]
    Execute {
        /// The program as it was named.
        program: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The working directory could not be entered.
    #[error("cannot enter the working directory {path:?}")]
    WorkingDir {
        /// The directory.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another step of the start failed.
    #[error("starting an instance failed while {step}")]
    Start {
        /// What was being done.
        step: sys::init::Step,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The instance's way out could not be made.
    #[error("cannot connect an instance with the outside")]
    Network {
        /// Why not.
        #[source]
        source: network::Error,
    },
    /// The sandbox is shutting down.
    #[error("the platform is stopping")]
    Stopping,
}

impl Error {
    /// Whether the machine has run out of something, so that the same start may succeed later.
    pub fn is_exhaustion(&self) -> bool {
        let errno = |source: &io::Error| {
            matches!(
                source.raw_os_error(),
                Some(libc::ENOSPC | libc::ENOMEM | libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::EUSERS)
            )
        };
        match self {
            Self::InstancesExhausted { .. } | Self::QueueFull { .. } => true,
            Self::Path { source, .. }
            | Self::Namespace { source, .. }
            | Self::Mounts { source }
            | Self::Mount { source, .. }
            | Self::Start { source, .. } => errno(source),
            Self::Network { source } => source.is_exhaustion(),
            _ => false,
        }
    }

    /// Whether the disk of the machine, or the file system on it, does not give what is on it.
    pub fn is_disk_failure(&self) -> bool {
        let Self::Path { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::EIO | libc::EUCLEAN))
    }

    /// Whether the image or its configuration is at fault, not the machine.
    pub fn is_images_fault(&self) -> bool {
        matches!(
            self,
            Self::UnknownIdentity { .. }
                | Self::InTheWay { .. }
                | Self::MountPoint { .. }
                | Self::BadSpec { .. }
                | Self::Execute { .. }
                | Self::WorkingDir { .. }
        )
    }

    pub(crate) fn path(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { operation, path, source }
    }
}
