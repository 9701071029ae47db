//! Root file systems: made from layers once, mounted once, used by many instances. Owns which of the kernel's ways is
//! taken. Must not know images, or what is put on top of a root file system.

mod files;
mod make;
mod method;
mod mount;
mod owners;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use content_store::Hold;
use oci::RunConfig;

pub(crate) use self::make::{MakeError, make, name, needs, unfolded_name};
pub(crate) use self::method::Method;
pub use self::method::{Check, RootfsMode, doctor};
pub(crate) use self::mount::{Mounted, Mounts, unmount_left};

/// Directories to mount, kept from being collected while this or a clone of it lives.
///
/// Read-only, to be put below an overlay from the initial user namespace.
#[derive(Clone)]
pub struct Rootfs {
    /// Topmost first; at least one. Absolute paths that hold in this process while this lives: a root file system that
    /// is mounted out of sight is named by its descriptor below `/proc/self/fd`.
    pub lower_dirs: Vec<PathBuf>,
    /// How to run it.
    pub run: Arc<RunConfig>,
    /// The guards.
    #[allow(dead_code)] // Held for its drop.
    pub(crate) hold: Arc<Hold>,
    #[allow(dead_code)] // Held for its drop.
    pub(crate) mounted: Arc<Mounted>,
}
