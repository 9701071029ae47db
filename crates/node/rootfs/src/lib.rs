//! Root file systems of images: made of layers once, mounted once, used by many instances. Mounting
//! needs root.
//!
//! How to use: [`choose`] tries which of the kernel's ways there is; [`make`] merges a stack of
//! layers of the content store and publishes the result there under its [`name`]; [`Mounts::mount`]
//! mounts it. Owners are folded (decision 28), and no file of an image is unpacked where the kernel
//! has EROFS (decision 9). All of it blocks.
#![forbid(unsafe_code)]

mod error;
mod files;
mod make;
mod method;
mod mount;
mod owners;
mod probe;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use content_store::Hold;
use oci::RunConfig;

pub use error::Error;
pub use make::{Needs, make, name, needs, unfolded_name};
pub use method::{Method, RootfsMode};
pub use mount::{Mounted, Mounts, unmount_left};
pub use probe::{Check, choose, doctor};

/// Directories to mount, kept from being collected while this or a clone of it lives.
///
/// Read-only, to be put below an overlay from the initial user namespace.
#[derive(Clone)]
pub struct Rootfs {
    /// Topmost first; at least one. Absolute paths that hold in this process while this lives: a
    /// root file system that is mounted out of sight is named by its descriptor below
    /// `/proc/self/fd`.
    pub lower_dirs: Vec<PathBuf>,
    /// How to run it.
    pub run: Arc<RunConfig>,
    _hold: Arc<Hold>,
    _mounted: Arc<Mounted>,
}

impl Rootfs {
    /// A mounted root file system of an image, which `hold` keeps.
    pub fn new(mounted: Arc<Mounted>, run: Arc<RunConfig>, hold: Hold) -> Self {
        Self { lower_dirs: vec![mounted.path().to_owned()], run, _hold: Arc::new(hold), _mounted: mounted }
    }
}
