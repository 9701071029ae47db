//! `[volumes]` and `[volumes.NAME]`, and their validation.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::VolumeName;
use types::mount::OWNER_DEFAULT;

use crate::error::Error;

/// Minimum size of a file system in memory.
const SIZE_MB_MIN: u64 = 1;
/// Minimum size of an image: a file system and its journal.
const IMAGE_MB_MIN: u64 = 16;
/// Maximum of both, 16 TB: the largest file that ext4 has.
pub(crate) const SIZE_MB_MAX: u64 = 16 << 20;

/// The volumes of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Directories of this machine below which a directory can be a volume.
    pub roots: Vec<PathBuf>,
    /// Lowest user and group on disk that a function may have on a volume, never 0.
    pub user_id_min: u32,
    /// Maximum number of volumes.
    pub volumes_max: usize,
    /// Time limit for measuring the usage of a volume, in milliseconds.
    pub usage_ms_max: u64,
    /// Maximum size of the `/tmp` on disk of one function, in MB. 0 is 10,240, or less where
    /// `tmp_all_mb_max` is less.
    pub tmp_mb_max: u64,
    /// Maximum of all instances' and prewarmed disks together, in MB. 0 is half of the free space
    /// of the data directory when the platform starts.
    pub tmp_all_mb_max: u64,
    /// Prewarmed disks for `/tmp` of each recently requested size.
    pub tmp_ready_max: usize,
    /// `[volumes.NAME]`.
    #[serde(flatten)]
    pub named: BTreeMap<String, VolumeSettings>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            user_id_min: OWNER_DEFAULT,
            volumes_max: 1_000,
            usage_ms_max: 5_000,
            tmp_mb_max: 0,
            tmp_all_mb_max: 0,
            tmp_ready_max: 2,
            named: BTreeMap::new(),
        }
    }
}

/// Kind of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A directory of this machine.
    #[default]
    Dir,
    /// A file system in memory, which ends with the platform.
    Tmpfs,
    /// A file system of a fixed size, in a file of the data directory.
    Image,
}

impl Kind {
    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
        }
    }
}

/// One volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeSettings {
    /// Its kind.
    pub kind: Kind,
    /// The directory of a `dir`, below one of `roots`; created if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Size of a `tmpfs` or an `image`, in MB; an image grows with it, but never shrinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_mb: Option<u64>,
    /// Mode of a `tmpfs`, in octal, such as "1770".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Take ids on disk as the file system has them: for one without idmapped mounts, such as NFS,
    /// whose server maps all files to one user (`all_squash`).
    pub squash: bool,
    /// Whether functions may only read it.
    pub read_only: bool,
}

impl Config {
    /// Memory of the `tmpfs` volumes of the settings, in MB.
    pub fn memory_mb(&self) -> u64 {
        let tmpfs = self.named.values().filter(|settings| settings.kind == Kind::Tmpfs);
        tmpfs.filter_map(|settings| settings.size_mb).fold(0, u64::saturating_add)
    }

    /// Rejects invalid settings, naming the key.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        let setting = |key: &str, problem: &str| Error::Setting { key: key.to_owned(), problem: problem.to_owned() };
        if self.user_id_min == 0 {
            return Err(setting("[volumes] user_id_min", "0 is root of this machine; use 1 or more"));
        }
        if let Some(root) = self.roots.iter().find(|root| !is_plain(root) || root.parent().is_none()) {
            let problem = format!("{} is not an absolute path below /, without . and ..", root.display());
            return Err(setting("[volumes] roots", &problem));
        }
        for (name, settings) in &self.named {
            name.parse::<VolumeName>().map_err(|error| setting(&format!("[volumes.{name}]"), &error.to_string()))?;
            settings.check(&format!("[volumes.{name}]"))?;
            if settings.kind == Kind::Dir && settings.path.is_none() {
                return Err(setting(&format!("[volumes.{name}] path"), "a dir needs one"));
            }
        }
        Ok(())
    }
}

impl VolumeSettings {
    /// Rejects settings that contradict each other; `of` names the volume.
    pub(crate) fn check(&self, of: &str) -> Result<(), Error> {
        let refuse =
            |key: &str, problem: &str| Err(Error::Setting { key: format!("{of} {key}"), problem: problem.to_owned() });
        match self.kind {
            Kind::Dir if self.size_mb.is_some() => refuse("size_mb", "a dir has no size of its own; leave it out"),
            Kind::Dir if self.mode.is_some() => refuse("mode", "a dir has the mode that it has; leave it out"),
            Kind::Dir if self.path.as_deref().is_some_and(|path| !is_plain(path)) => {
                refuse("path", "it is not an absolute path without . and ..")
            }
            Kind::Image | Kind::Tmpfs if self.size_mb.is_some_and(|mb| mb > SIZE_MB_MAX) => {
                refuse("size_mb", &format!("it is more than {SIZE_MB_MAX} MB"))
            }
            Kind::Image if self.path.is_some() => refuse("path", "an image is in the data directory; leave it out"),
            Kind::Image if self.mode.is_some() => refuse("mode", "only a tmpfs has one; leave it out"),
            Kind::Image if self.size_mb.is_none_or(|mb| mb < IMAGE_MB_MIN) => {
                refuse("size_mb", "an image needs a size, 16 MB or more")
            }
            Kind::Tmpfs if self.path.is_some() => refuse("path", "a tmpfs has none; leave it out"),
            Kind::Tmpfs if self.size_mb.is_none_or(|mb| mb < SIZE_MB_MIN) => {
                refuse("size_mb", "a tmpfs needs a size, 1 MB or more, which counts as memory of the functions")
            }
            Kind::Tmpfs if self.mode.is_some() && self.mode_bits().is_none() => {
                refuse("mode", "it is not a mode in octal, such as 1770")
            }
            _ => Ok(()),
        }
    }

    /// The mode of a `tmpfs`.
    pub(crate) fn mode_bits(&self) -> Option<u32> {
        let mode = self.mode.as_deref().unwrap_or("755");
        u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o1777)
    }
}

/// Whether a path is absolute and every component of it is a name.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    parts.next() == Some(Component::RootDir) && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(config: Config) -> String {
        config.check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_setting_that_cannot_be_is_named() {
        let named = |settings| Config { named: [("data".to_owned(), settings)].into(), ..Config::default() };
        let tmpfs = VolumeSettings { kind: Kind::Tmpfs, size_mb: Some(8), ..VolumeSettings::default() };
        let dir = VolumeSettings { path: Some("/srv/data".into()), ..VolumeSettings::default() };
        assert_eq!((problem(named(tmpfs.clone())), problem(named(dir.clone()))), (String::new(), String::new()));
        for (config, said) in [
            (Config { user_id_min: 0, ..Config::default() }, "[volumes] user_id_min"),
            (Config { roots: vec!["srv".into()], ..Config::default() }, "[volumes] roots"),
            (Config { roots: vec!["/".into()], ..Config::default() }, "[volumes] roots"),
            (Config { roots: vec!["/srv/../etc".into()], ..Config::default() }, "[volumes] roots"),
            (Config { named: [("Data".to_owned(), dir.clone())].into(), ..Config::default() }, "[volumes.Data]"),
            (named(VolumeSettings::default()), "[volumes.data] path"),
            (named(VolumeSettings { size_mb: Some(1), ..dir.clone() }), "[volumes.data] size_mb"),
            (named(VolumeSettings { path: Some("/srv/../etc".into()), ..dir }), "[volumes.data] path"),
            (named(VolumeSettings { size_mb: None, ..tmpfs.clone() }), "[volumes.data] size_mb"),
            (
                named(VolumeSettings { kind: Kind::Image, size_mb: Some(8), ..VolumeSettings::default() }),
                "[volumes.data] size_mb",
            ),
            // In bytes this would be 16 MB.
            (
                named(VolumeSettings { kind: Kind::Image, size_mb: Some((1 << 44) + 16), ..VolumeSettings::default() }),
                "more than 16777216 MB",
            ),
            (named(VolumeSettings { size_mb: Some(u64::MAX), ..tmpfs.clone() }), "more than 16777216 MB"),
            (named(VolumeSettings { mode: Some("9".to_owned()), ..tmpfs.clone() }), "[volumes.data] mode"),
            (named(VolumeSettings { mode: Some("4755".to_owned()), ..tmpfs }), "[volumes.data] mode"),
        ] {
            let problem = problem(config);
            assert!(problem.contains(said), "{said}: {problem}");
        }
    }
}
