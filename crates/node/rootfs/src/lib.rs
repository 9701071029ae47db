//! Root file systems of images: created from layers once, mounted once, shared by many instances.
//! Mounting needs root.
//!
//! How to use: [`choose`] probes the methods that the kernel supports; [`make`] merges a stack of
//! layers of the content store and publishes the result there under its [`name`]; [`Mounts::mount`]
//! mounts it. Owners are folded (decision 28), and no file of an image is unpacked where the kernel
//! has EROFS (decision 9). Every function blocks.
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

/// Directories to mount, protected from collection until the last clone is dropped.
///
/// Read-only lower layers for an overlay that is mounted from the initial user namespace.
#[derive(Clone)]
pub struct Rootfs {
    /// Topmost first; at least one. Absolute paths that are valid in this process while this lives:
    /// a detached root file system is named by its descriptor below `/proc/self/fd`.
    pub lower_dirs: Vec<PathBuf>,
    /// Its run configuration.
    pub run: Arc<RunConfig>,
    _hold: Arc<Hold>,
    _mounted: Arc<Mounted>,
}

impl Rootfs {
    /// A mounted root file system of an image that `hold` protects.
    pub fn new(mounted: Arc<Mounted>, run: Arc<RunConfig>, hold: Hold) -> Self {
        Self { lower_dirs: vec![mounted.path().to_owned()], run, _hold: Arc::new(hold), _mounted: mounted }
    }
}
