//! The ways in which a root file system can be made and mounted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootfsMode {
    /// The best that the kernel has, in the order of the others.
    #[default]
    Auto,
    /// EROFS on files (Linux 6.12).
    Erofs,
    /// EROFS on loop devices (Linux 5.19).
    ErofsLoop,
    /// Plain files, written out for each image.
    Files,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// EROFS straight from the files; mounted out of sight if the kernel can take copies of such a
    /// mount (Linux 6.15).
    Erofs {
        /// Whether no path leads to the mount.
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
