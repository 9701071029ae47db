//! The public handle: the list of volumes, and the directory of each for instances.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use types::mount::OWNER_DEFAULT;
use types::{Mount, VolumeName};

use crate::config::{Config, Kind, VolumeSettings};
use crate::error::Error;
use crate::made::Folders;
use crate::tmp_disks::{TmpDisk, TmpDisks};
use crate::usage::{self, Usage};
use crate::{image, mounts, open, probe, tmpfs};

/// All volumes of one data directory; cheap to clone.
#[derive(Clone)]
pub struct Volumes(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) folders: Folders,
    pub(crate) known: Mutex<BTreeMap<VolumeName, Arc<Known>>>,
    /// Volumes that are being created or grown.
    pub(crate) changing: Mutex<BTreeSet<VolumeName>>,
    tmp_disks: TmpDisks,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tmp_disks.close();
    }
}

/// A volume.
pub(crate) struct Known {
    pub(crate) settings: VolumeSettings,
    pub(crate) made: bool,
    pub(crate) place: Place,
    /// Whether a lookup below `place` waits for no other machine.
    is_local: bool,
}

/// Where a volume is.
pub(crate) enum Place {
    /// A directory, which is opened for each use.
    Directory(PathBuf),
    /// A file system of its own.
    Mounted { path: PathBuf, root: Arc<OwnedFd>, image: Option<Attached> },
    /// Not available, and why.
    Missing(String),
}

/// A mounted image.
#[derive(Clone)]
pub(crate) struct Attached {
    /// Its block device.
    pub(crate) device: PathBuf,
    /// Its size, which is larger than in its settings if it was larger before.
    pub(crate) size_mb: u64,
}

/// Description of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Its settings.
    pub settings: VolumeSettings,
    /// Whether it was created by command, not by the settings.
    pub made: bool,
    /// Its directory on this machine.
    pub path: Option<PathBuf>,
    /// The reason why instances cannot use it now, and the remedy.
    pub problem: Option<String>,
}

/// A directory to mount into an instance.
#[derive(Debug)]
pub struct Source {
    /// The directory.
    pub dir: Arc<OwnedFd>,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// User and group on disk that map to the function's; `None` where ids are not mapped.
    pub owner: Option<(u32, u32)>,
}

impl Volumes {
    /// Opens the volumes of the settings and those created by command. An unusable one is listed
    /// with its problem; functions without it run.
    ///
    /// # Errors
    /// Invalid settings, and errors of the platform's own folders.
    pub fn open(dir: &Path, config: Config) -> Result<Self, Error> {
        config.check()?;
        let folders = Folders::open(dir)?;
        for left in folders.mount_places()? {
            mounts::remove(&left)?;
        }
        let tmp_disks = TmpDisks::open(dir.join("tmp"), &config)?;
        let volumes =
            Self(Arc::new(Inner { config, folders, known: Mutex::default(), changing: Mutex::default(), tmp_disks }));
        for (name, settings) in volumes.0.folders.records()? {
            volumes.add(name, settings, true);
        }
        for (name, settings) in volumes.0.config.named.clone() {
            let name: VolumeName = name
                .parse()
                .map_err(|error| Error::Setting { key: format!("[volumes.{name}]"), problem: format!("{error}") })?;
            if volumes.0.known.lock().contains_key(&name) {
                tracing::warn!(volume = %name, "a volume of the settings shadows one that was created by command");
            }
            volumes.add(name, settings, false);
        }
        Ok(volumes)
    }

    fn add(&self, name: VolumeName, settings: VolumeSettings, made: bool) {
        let place = self.place(&name, &settings).unwrap_or_else(|error| {
            tracing::warn!(volume = %name, error = error.report(), "a volume cannot be used");
            Place::Missing(error.report())
        });
        self.0.known.lock().insert(name, Arc::new(Known::new(settings, made, place)));
    }

    pub(crate) fn place(&self, name: &VolumeName, settings: &VolumeSettings) -> Result<Place, Error> {
        let Inner { config, folders, .. } = &*self.0;
        match (settings.kind, &settings.path) {
            (Kind::Dir, Some(path)) => open::below_roots(path, &config.roots, OWNER_DEFAULT).map(Place::Directory),
            (Kind::Dir, None) => {
                let data = folders.data(name);
                Ok(Place::Directory(data.canonicalize().map_err(Error::io("find", &data))?))
            }
            (Kind::Tmpfs, _) => {
                let path = folders.mount_place(name);
                Ok(Place::Mounted { root: Arc::new(tmpfs::mount(&path, settings)?), path, image: None })
            }
            (Kind::Image, _) => {
                let (path, size_mb) = (folders.mount_place(name), settings.size_mb.unwrap_or_default());
                let file = folders.image(name);
                image::make(&file, size_mb)?;
                let image::Mounted { data, device, size_mb } = image::mount(&file, &path, size_mb)?;
                Ok(Place::Mounted { path, root: Arc::new(data), image: Some(Attached { device, size_mb }) })
            }
        }
    }

    pub(crate) fn known(&self, name: &VolumeName) -> Result<Arc<Known>, Error> {
        let known = self.0.known.lock().get(name).cloned();
        let known = known.ok_or_else(|| Error::NotFound { name: name.clone() })?;
        let Place::Missing(_) = known.place else { return Ok(known) };
        // It may be available by now; the lock prevents mounting it twice.
        let _change = self.change(name)?;
        if let Some(found) = self.0.known.lock().get(name).filter(|found| !matches!(found.place, Place::Missing(_))) {
            return Ok(found.clone());
        }
        let place = self.place(name, &known.settings)?;
        let found = Arc::new(Known::new(known.settings.clone(), known.made, place));
        self.0.known.lock().insert(name.clone(), found.clone());
        Ok(found)
    }

    /// Whether [`Volumes::source`] of this volume takes microseconds: its file system is on this
    /// machine and mounted. Otherwise it may wait for a server.
    pub fn is_local(&self, name: &VolumeName) -> bool {
        self.0.known.lock().get(name).is_some_and(|known| known.is_local)
    }

    /// The directory of a mount, as an instance gets it.
    ///
    /// # Errors
    /// Why it is not available, with the remedy.
    pub fn source(&self, mount: &Mount) -> Result<Source, Error> {
        let known = self.known(&mount.volume)?;
        let read_only = mount.read_only;
        if known.settings.read_only && !read_only {
            return Err(Error::ReadOnly { name: mount.volume.clone() });
        }
        let root = known.root()?;
        let dir = match mount.sub.as_str() {
            "" => root,
            _ => Arc::new(open::sub(&root, mount, !known.settings.read_only)?),
        };
        let owner = (!known.settings.squash).then_some((mount.user_id, mount.group_id));
        Ok(Source { dir, read_only, owner })
    }

    /// Rejects a mount that is not available to instances, or not with its options.
    ///
    /// # Errors
    /// The reason, with the remedy.
    pub fn check(&self, mount: &Mount) -> Result<(), Error> {
        let source = self.source(mount)?;
        let known = self.known(&mount.volume)?;
        let path = known.path().unwrap_or_default().join(&mount.sub);
        probe::check(&source.dir, &path, known.settings.squash)?;
        let Some((user, group)) = source.owner.filter(|_| !source.read_only) else { return Ok(()) };
        let unusable = |problem| Error::Unusable { path: path.clone(), problem };
        let (owner, owners, _) = open::owner(&source.dir).map_err(|errno| unusable(errno.to_string()))?;
        let is_there = |id: u32, first: u32| (first..first.saturating_add(probe::IDS)).contains(&id);
        if is_there(owner, user) && is_there(owners, group) {
            return Ok(());
        }
        Err(unusable(format!(
            "it belongs to {owner}:{owners}, who is nobody in an instance, so that nothing could be written: chown it \
             to {user}:{group}, or mount it with :ro"
        )))
    }

    /// All volumes, by name.
    pub fn list(&self) -> Vec<Volume> {
        let known: Vec<_> = self.0.known.lock().iter().map(|(name, known)| (name.clone(), known.clone())).collect();
        let shown = |(name, known): (VolumeName, Arc<Known>)| {
            let problem = match &known.place {
                Place::Missing(_) => self.known(&name).err().map(|error| error.report()),
                _ => {
                    let root = known.root();
                    root.and_then(|root| probe::check(&root, &known.path().unwrap_or_default(), known.settings.squash))
                        .err()
                        .map(|error| error.report())
                }
            };
            Volume { path: known.path(), problem, settings: known.shown(), made: known.made, name }
        };
        known.into_iter().map(shown).collect()
    }

    /// Usage of a volume; blocks at most `[volumes] usage_ms_max`.
    ///
    /// # Errors
    /// [`Error::NotFound`], and the file system's error.
    pub fn usage(&self, name: &VolumeName) -> Result<Usage, Error> {
        let known = self.known(name)?;
        let root = known.root()?;
        let path = known.path().unwrap_or_default();
        let longest = Duration::from_millis(self.0.config.usage_ms_max);
        usage::of(&root, longest).map_err(|errno| Error::io("look through", path)(errno.into()))
    }

    /// Memory limit of all file systems in memory, in MB.
    pub fn memory_mb(&self) -> u64 {
        let known = self.0.known.lock();
        let tmpfs = known.values().filter(|known| known.settings.kind == Kind::Tmpfs);
        tmpfs.filter_map(|known| known.settings.size_mb).sum()
    }

    /// A prewarmed disk for the `/tmp` of one instance, if one of this size is ready; does not
    /// block.
    pub fn ready_tmp_disk(&self, size_mb: u64) -> Option<TmpDisk> {
        self.0.tmp_disks.take_ready(size_mb)
    }

    /// A disk of a size for the `/tmp` of one instance; blocks while one is created.
    ///
    /// # Errors
    /// [`Error::TmpFull`], and why none can be created.
    pub fn tmp_disk(&self, size_mb: u64) -> Result<TmpDisk, Error> {
        self.0.tmp_disks.take(size_mb)
    }

    /// Unmounts all volumes; running instances keep them until they end.
    pub fn close(&self) {
        self.0.tmp_disks.close();
        for known in std::mem::take(&mut *self.0.known.lock()).values() {
            if let Place::Mounted { path, .. } = &known.place
                && let Err(error) = mounts::unmount_left(path)
            {
                tracing::warn!(error = error.report(), "a volume stays mounted; the next start unmounts it");
            }
        }
    }
}

impl Known {
    pub(crate) fn new(settings: VolumeSettings, made: bool, place: Place) -> Self {
        let is_local = !settings.squash
            && match &place {
                Place::Directory(path) => open::volume(path).is_ok_and(|dir| probe::is_local(&dir)),
                Place::Mounted { .. } => true,
                Place::Missing(_) => false,
            };
        Self { settings, made, place, is_local }
    }

    /// Its settings with the size that it has.
    fn shown(&self) -> VolumeSettings {
        match &self.place {
            Place::Mounted { image: Some(image), .. } => {
                VolumeSettings { size_mb: Some(image.size_mb), ..self.settings.clone() }
            }
            _ => self.settings.clone(),
        }
    }

    pub(crate) fn root(&self) -> Result<Arc<OwnedFd>, Error> {
        match &self.place {
            Place::Directory(path) => open::volume(path).map(Arc::new),
            Place::Mounted { root, .. } => Ok(root.clone()),
            Place::Missing(problem) => {
                Err(Error::Unusable { path: self.settings.path.clone().unwrap_or_default(), problem: problem.clone() })
            }
        }
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Directory(path) | Place::Mounted { path, .. } => Some(path.clone()),
            Place::Missing(_) => self.settings.path.clone(),
        }
    }
}
