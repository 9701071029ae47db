//! Methods of creating and mounting root file systems.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The configured method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootfsMode {
    /// The first supported one of the others, in their order.
    #[default]
    Auto,
    /// EROFS on files (Linux 6.12).
    Erofs,
    /// EROFS on loop devices (Linux 5.19).
    ErofsLoop,
    /// Plain files, written for each image.
    Files,
}

/// The method in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// EROFS directly on the files; a detached mount if the kernel can copy such a mount (Linux
    /// 6.15).
    Erofs {
        /// Whether the mount is detached: no path leads to it.
        detached: bool,
    },
    /// EROFS, each file behind a loop device.
    ErofsLoop,
    /// Plain files.
    Files,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erofs { detached: true } => "EROFS on files, mounted out of sight",
            Self::Erofs { detached: false } => "EROFS on files",
            Self::ErofsLoop => "EROFS on loop devices",
            Self::Files => "plain files",
        })
    }
}

impl Method {
    /// Whether root file systems are EROFS images.
    pub fn is_erofs(self) -> bool {
        self != Self::Files
    }
}
