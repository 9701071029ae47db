//! Arguments of `sampan volume`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use types::VolumeName;

use super::size::Megabytes;

#[derive(Args)]
pub struct VolumeArgs {
    #[command(subcommand)]
    pub command: VolumeCommand,
}

#[derive(Subcommand)]
pub enum VolumeCommand {
    /// Create a volume, which functions mount with `sampan deploy --mount NAME:/path`
    Create(VolumeCreateArgs),
    /// List volumes and the functions that mount them
    List,
    /// Delete a volume and its content; fails while a version of a function mounts it
    Delete(VolumeNameArgs),
    /// Enlarge a volume of kind image, also while functions use it
    Grow(VolumeGrowArgs),
    /// Show the disk usage of a volume
    Usage(VolumeNameArgs),
}

/// Kind of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VolumeKind {
    /// A directory of the machine
    Dir,
    /// A file system in memory, which ends with the platform
    Tmpfs,
    /// A file system of a fixed size in the data directory, whose disk space is reserved
    Image,
}

#[derive(Args)]
pub struct VolumeCreateArgs {
    /// Name of the volume
    pub name: VolumeName,
    /// Kind of the volume
    #[arg(long, value_enum, default_value = "dir")]
    pub kind: VolumeKind,
    /// Directory of the machine, below one of [volumes] roots; it is kept when the volume is
    /// deleted [default: a new one in the data directory]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Size of an image or a tmpfs, such as 512m or 10g; the content of a tmpfs counts towards the
    /// memory of the functions that write it
    #[arg(long, value_name = "SIZE")]
    pub size: Option<Megabytes>,
    /// Mode of a tmpfs, in octal [default: 755]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Do not map user and group ids on disk; for NFS servers that map all users to one
    /// (all_squash)
    #[arg(long)]
    pub squash: bool,
    /// Functions can only read the volume
    #[arg(long)]
    pub read_only: bool,
}

#[derive(Args)]
pub struct VolumeGrowArgs {
    /// Name of the volume
    pub name: VolumeName,
    /// New size, such as 20g
    #[arg(long, value_name = "SIZE")]
    pub size: Megabytes,
}

#[derive(Args)]
pub struct VolumeNameArgs {
    /// Name of the volume
    pub name: VolumeName,
}
