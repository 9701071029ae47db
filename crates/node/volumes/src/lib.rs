//! Volumes: named directories that outlive instances and that several functions share.
//!
//! Owns the list of volumes, their places on this machine, and whether instances can use them. The
//! operator defines them in the settings, or creates them by command; both kinds are used alike.
//!
//! # On disk
//! ```text
//! <dir>/made/NAME/volume.json   a volume made by command
//! <dir>/made/NAME/data          its directory, where no other one was given
//! <dir>/images/NAME             the file of one that is a file system of a fixed size
//! <dir>/mounts/NAME             where one that is a file system of its own is mounted
//! <dir>/tmp/template-MB          an empty file system for `/tmp` of instances
//! <dir>/trash/…                 what was deleted and is being removed
//! ```
//! A directory of the machine is a volume only below `[volumes] roots`: the key pair allows
//! creating volumes, but does not make its holder root on the machine.
#![forbid(unsafe_code)]

mod config;
mod doctor;
mod error;
mod handle;
mod image;
mod lifecycle;
mod made;
mod mounts;
mod open;
mod probe;
mod tmp_disks;
mod tmpfs;
mod usage;

pub use config::{Config, Kind, VolumeSettings};
pub use doctor::{Found, doctor};
pub use error::Error;
pub use handle::{Source, Volume, Volumes};
pub use lifecycle::Deletion;
pub use tmp_disks::{TmpDisk, TmpLease, TmpLimits};
pub use usage::Usage;
