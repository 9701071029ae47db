//! Errors of making and starting a sandbox.

use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the sandbox could not be used.
    #[error("cannot {operation} {path}", path = path.display())]
    Path {
        /// The failed operation.
        operation: &'static str,
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The machine has no cgroup hierarchy with a controller that instances need.
    #[error("no cgroup hierarchy has the controller {controller:?}; enable it, or mount cgroup2 at /sys/fs/cgroup")]
    NoController {
        /// The controller.
        controller: &'static str,
    },
    /// A namespace could not be created.
    #[error("cannot make a {kind} namespace")]
    Namespace {
        /// Kind of the namespace.
        kind: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file systems of an instance could not be mounted.
    #[error("cannot mount the file systems of an instance ahead of its start")]
    Mounts {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// All ranges of host ids are in use, hence the maximum of instances runs.
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
    /// A percentage of the machine's resources is out of range.
    #[error("[sandbox] {key} = {percent} cannot be: it is 1 to 100")]
    Percent {
        /// The key.
        key: &'static str,
        /// Its value.
        percent: u64,
    },
    /// The time for which prewarmed items are kept is out of range.
    #[error("[sandbox] {key} = {seconds} cannot be: it is 1 to {seconds_max} seconds")]
    ReadySeconds {
        /// The key.
        key: &'static str,
        /// Its value.
        seconds: u64,
        /// The maximum.
        seconds_max: u64,
    },
    /// The queue of starts is full.
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
    /// The name of a user or group was not found in the part of a file that is read.
    #[error(
        "the image's /{path} has more than {bytes_max} bytes, of which no name is read; use a number as USER, or a \
         smaller file"
    )]
    IdentityFileTooLarge {
        /// `etc/passwd` or `etc/group`.
        path: &'static str,
        /// Bytes that are read.
        bytes_max: u64,
    },
    /// The image has a file of another kind at a standard mount point.
    #[error(
        "the image has {what} at {path}, where every instance has a mount; make it a directory or remove it from the image"
    )]
    InTheWay {
        /// Path of the mount point.
        path: String,
        /// Kind of the file there.
        what: &'static str,
    },
    /// The image has a file of another kind at a volume's mount point.
    #[error("the image has {what} at {path}, where a volume is to be mounted; choose another path for the volume")]
    MountPoint {
        /// Path of the mount point.
        path: String,
        /// Kind of the file there.
        what: &'static str,
    },
    /// A directory of the host cannot be mounted.
    #[error("cannot mount the volume {name}")]
    Mount {
        /// The volume.
        name: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An argument, variable or path has a NUL byte or is otherwise invalid.
    #[error("{what} {value:?} cannot be used: {reason}")]
    BadSpec {
        /// The kind of value.
        what: &'static str,
        /// The value.
        value: String,
        /// The reason.
        reason: &'static str,
    },
    /// The program could not be executed.
    #[error("cannot execute {program:?}: {reason}")]
    Execute {
        /// The program as given.
        program: String,
        /// The reason.
        reason: String,
    },
    /// The working directory could not be entered.
    #[error("cannot enter the working directory {path:?}")]
    WorkingDir {
        /// The directory.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another step of the start failed.
    #[error("starting an instance failed while {step}")]
    Start {
        /// The failed step.
        step: sys::init::Step,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The instance's egress could not be set up.
    #[error("cannot connect an instance with the outside")]
    Network {
        /// The cause.
        #[source]
        source: network::Error,
    },
    /// The sandbox is shutting down.
    #[error("the platform is stopping")]
    Stopping,
}

impl Error {
    /// Whether a resource of the machine is exhausted, so that the same start may succeed later.
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

    /// Whether the machine's disk or its file system failed to return data.
    pub fn is_disk_failure(&self) -> bool {
        let Self::Path { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::EIO | libc::EUCLEAN))
    }

    /// Whether the image or its configuration caused it, not the machine.
    pub fn is_images_fault(&self) -> bool {
        matches!(
            self,
            Self::UnknownIdentity { .. }
                | Self::IdentityFileTooLarge { .. }
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
