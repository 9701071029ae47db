//! Why a volume is not there, or cannot be used.

use std::io;
use std::path::PathBuf;

use types::VolumeName;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be.
    #[error("{key} cannot be: {problem}")]
    Setting {
        /// Its key.
        key: String,
        /// What is wrong, and what would be right.
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
    /// There is one already.
    #[error("there is a volume {name} already; delete it first or take another name")]
    Exists {
        /// The name.
        name: VolumeName,
    },
    /// Another command is at it.
    #[error("the volume {name} is being made, grown or deleted; try again when that has ended")]
    Changing {
        /// The name.
        name: VolumeName,
    },
    /// The operator's own.
    #[error("the volume {name} is one of the settings; remove [volumes.{name}] there and restart")]
    OfSettings {
        /// The name.
        name: VolumeName,
    },
    /// There are too many.
    #[error("there are {volumes_max} volumes; raise [volumes] volumes_max")]
    TooMany {
        /// The limit.
        volumes_max: usize,
    },
    /// A directory that is no volume's to be.
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
    /// There is no room for a file whose blocks are reserved.
    #[error(
        "{path} cannot be made: the disk has no {size_mb} MB for it; free some, or take a smaller size",
        path = path.display()
    )]
    DiskFull {
        /// The file, or the directory that it was to be in.
        path: PathBuf,
        /// Its size.
        size_mb: u64,
    },
    /// Something on the way to a directory.
    #[error("{path} cannot be a volume: {problem}", path = path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what would help.
        problem: String,
    },
    /// A volume that functions may only read.
    #[error("the volume {name} is read-only; mount it with :ro")]
    ReadOnly {
        /// The name.
        name: VolumeName,
    },
    /// A directory of a volume.
    #[error("the volume {name} has no directory {sub:?} that can be used: {problem}")]
    Sub {
        /// The volume.
        name: VolumeName,
        /// The directory in it.
        sub: String,
        /// What is wrong, and what would help.
        problem: String,
    },
    /// The disk that `/tmp` of instances may take is taken.
    #[error(
        "no /tmp of {size_mb} MB can be had now: instances have {used_mb} of {all_mb} MB; try again, or raise \
         [volumes] tmp_all_mb_max"
    )]
    TmpFull {
        /// What was asked for.
        size_mb: u64,
        /// What others have.
        used_mb: u64,
        /// The limit.
        all_mb: u64,
    },
    /// A file of ours.
    #[error("cannot {operation} {path}", path = path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Whether it would not have failed with more disk, now or later.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::TmpFull { .. })
    }

    /// The error with what the kernel said.
    pub fn report(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}
