//! A root file system that stays in place while it is used. Must not know how it is mounted, or by whom.

use std::path::PathBuf;
use std::sync::Arc;

use crate::content::ledger::Hold;
use crate::image_config::RunConfig;

/// Directories to mount, kept from being collected while this or a clone of it lives.
///
/// Mount them with overlayfs from the initial user namespace: whiteouts are character devices 0/0, and opaque
/// directories have the attribute `trusted.overlay.opaque`, which overlayfs ignores elsewhere.
#[derive(Clone)]
pub struct Rootfs {
    /// Read-only directories, topmost first; at least one. Absolute paths without `:` or `,` beyond those of the data
    /// directory.
    pub lower_dirs: Vec<PathBuf>,
    /// How to run it.
    pub run: Arc<RunConfig>,
    /// The guard.
    #[allow(dead_code)] // Held for its drop.
    pub(crate) hold: Arc<Hold>,
}
