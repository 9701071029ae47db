//! Errors of volumes.

use std::io;
use std::path::PathBuf;

use types::VolumeName;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid setting.
    #[error("{key} cannot be: {problem}")]
    Setting {
        /// Its key.
        key: String,
        /// The problem, and valid values.
        problem: String,
    },
    /// There is no such volume.
    #[error(
        "there is no volume {name}; `sampan volume list` shows them, `sampan volume create` or [volumes.{name}] makes \
         one"
    )]
    NotFound {
        /// The name.
        name: VolumeName,
    },
    /// The volume exists already.
    #[error("there is a volume {name} already; delete it first or take another name")]
    Exists {
        /// The name.
        name: VolumeName,
    },
    /// Another command is changing the volume.
    #[error("the volume {name} is being made, grown or deleted; try again when that has ended")]
    Changing {
        /// The name.
        name: VolumeName,
    },
    /// The volume belongs to the settings.
    #[error("the volume {name} is one of the settings; remove [volumes.{name}] there and restart")]
    OfSettings {
        /// The name.
        name: VolumeName,
    },
    /// The maximum number of volumes is reached.
    #[error("there are {volumes_max} volumes; raise [volumes] volumes_max")]
    TooMany {
        /// The limit.
        volumes_max: usize,
    },
    /// A directory that cannot be a volume.
    #[error(
        "{path} is not below a directory of [volumes] roots ({roots}); add the one that it is below",
        path = path.display()
    )]
    OutsideRoots {
        /// The directory.
        path: PathBuf,
        /// The roots.
        roots: String,
    },
    /// The disk is too full for a file with reserved blocks.
    #[error(
        "{path} cannot be made: the disk has no {size_mb} MB for it; free some, or take a smaller size",
        path = path.display()
    )]
    DiskFull {
        /// The file, or its parent directory.
        path: PathBuf,
        /// Its size.
        size_mb: u64,
    },
    /// A directory whose path cannot be used.
    #[error("{path} cannot be a volume: {problem}", path = path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The problem, and the remedy.
        problem: String,
    },
    /// A volume that is read-only for functions.
    #[error("the volume {name} is read-only; mount it with :ro")]
    ReadOnly {
        /// The name.
        name: VolumeName,
    },
    /// A directory in a volume cannot be used.
    #[error("the volume {name} has no directory {sub:?} that can be used: {problem}")]
    Sub {
        /// The volume.
        name: VolumeName,
        /// The directory in it.
        sub: String,
        /// The problem, and the remedy.
        problem: String,
    },
    /// The disk space for `/tmp` of instances is used up.
    #[error(
        "no /tmp of {size_mb} MB can be had now: instances have {used_mb} of {all_mb} MB; try again, or raise \
         [volumes] tmp_all_mb_max"
    )]
    TmpFull {
        /// The requested size.
        size_mb: u64,
        /// The size in use.
        used_mb: u64,
        /// The limit.
        all_mb: u64,
    },
    /// A file of the platform could not be used.
    #[error("cannot {operation} {path}", path = path.display())]
    Io {
        /// The failed operation.
        operation: &'static str,
        /// Its path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Whether more disk space, now or later, would make it succeed.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::TmpFull { .. })
    }

    /// The error with the kernel's error.
    pub fn report(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}
