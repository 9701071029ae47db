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
    /// Make a volume, which functions mount with `sampan deploy --mount NAME:/path`
    Create(VolumeCreateArgs),
    /// List volumes with the functions that mount them
    List,
    /// Delete a volume with all it holds, unless a version of a function mounts it
    Delete(VolumeNameArgs),
    /// Make an image larger, while functions use it
    Grow(VolumeGrowArgs),
    /// Show how much a volume holds
    Usage(VolumeNameArgs),
}

/// What a volume is.
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
    /// What it is
    #[arg(long, value_enum, default_value = "dir")]
    pub kind: VolumeKind,
    /// Directory of the machine, below one of [volumes] roots; deleting the volume leaves it there
    /// [default: a new one in the data directory]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Size of an image or a tmpfs, such as 512m or 10g; what is in a tmpfs counts as memory of the
    /// functions that write it
    #[arg(long, value_name = "SIZE")]
    pub size: Option<Megabytes>,
    /// Mode of a tmpfs, in octal [default: 755]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Do not map ids on disk: for NFS whose server gives all files to one user (all_squash)
    #[arg(long)]
    pub squash: bool,
    /// Functions may only read it
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
