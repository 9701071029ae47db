//! Creating, growing and deleting volumes by command. The next start of the platform completes or
//! rolls back an interrupted step.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;

use types::VolumeName;
use types::mount::OWNER_DEFAULT;

use crate::config::{Kind, SIZE_MB_MAX, VolumeSettings};
use crate::error::Error;
use crate::handle::{Attached, Inner, Known, Place, Volumes};
use crate::{image, mounts, probe};

/// A deletion in progress: the volume can no longer be found. Dropping it unfinished restores the
/// volume.
pub struct Deletion {
    volumes: Volumes,
    name: VolumeName,
    known: Option<Arc<Known>>,
    _change: Change,
}

impl Drop for Deletion {
    fn drop(&mut self) {
        if let Some(known) = self.known.take() {
            self.volumes.0.known.lock().insert(self.name.clone(), known);
        }
    }
}

/// Exclusive right to change a volume.
pub(crate) struct Change(Volumes, VolumeName);

impl Drop for Change {
    fn drop(&mut self) {
        self.0.0.changing.lock().remove(&self.1);
    }
}

impl Volumes {
    /// Locks a volume against other changes until the value is dropped.
    pub(crate) fn change(&self, name: &VolumeName) -> Result<Change, Error> {
        if self.0.changing.lock().insert(name.clone()) {
            return Ok(Change(self.clone(), name.clone()));
        }
        Err(Error::Changing { name: name.clone() })
    }

    /// Creates a volume.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::TooMany`], and unusable settings.
    pub fn create(&self, name: &VolumeName, settings: VolumeSettings) -> Result<(), Error> {
        settings.check("the volume's")?;
        let _change = self.change(name)?;
        let Inner { config, folders, known, .. } = &*self.0;
        {
            let known = known.lock();
            if known.contains_key(name) {
                return Err(Error::Exists { name: name.clone() });
            }
            if known.len() >= config.volumes_max {
                return Err(Error::TooMany { volumes_max: config.volumes_max });
            }
        }
        let image = folders.image(name);
        if image.exists() {
            let problem = "it is the image of a volume that the settings had; give it its settings again, or move it \
                           away"
                .to_owned();
            return Err(Error::Unusable { path: image, problem });
        }
        let folder = folders.make(name)?;
        if settings.kind == Kind::Dir && settings.path.is_none() {
            let data = folders.data(name);
            let make = || {
                fs::create_dir_all(&data)?;
                chown(&data, Some(OWNER_DEFAULT), Some(OWNER_DEFAULT))
            };
            make().map_err(Error::io("make", &data))?;
        }
        let place = self.place(name, &settings).and_then(|place| {
            let known = Known::new(settings.clone(), true, place);
            probe::check(&*known.root()?, &known.path().unwrap_or_default(), settings.squash)?;
            folders.keep(name, &settings)?;
            Ok(known)
        });
        let made = place.inspect_err(|_| {
            mounts::remove(&folders.mount_place(name)).ok();
            fs::remove_file(&image).ok();
            fs::remove_dir_all(&folder).ok();
        })?;
        known.lock().insert(name.clone(), Arc::new(made));
        Ok(())
    }

    /// Grows an image volume that was created by command, while it is in use. Returns whether that
    /// is done; otherwise it grows at the next start of the platform.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OfSettings`], and why it cannot grow.
    pub fn grow(&self, name: &VolumeName, size_mb: u64) -> Result<bool, Error> {
        // A missing one may be available by now.
        self.known(name)?;
        let _change = self.change(name)?;
        let known = self.known(name)?;
        let refuse =
            |problem: &str| Err(Error::Setting { key: format!("the size of {name}"), problem: problem.to_owned() });
        let Place::Mounted { image: Some(image), path, root } = &known.place else {
            return refuse("only an image has one that grows");
        };
        if !known.made {
            return refuse(&format!("it is one of the settings; raise [volumes.{name}] size_mb and restart"));
        }
        if size_mb > SIZE_MB_MAX {
            return refuse(&format!("it is more than {SIZE_MB_MAX} MB"));
        }
        if size_mb <= image.size_mb {
            return refuse("it is not more than it has, and an image never shrinks");
        }
        let folders = &self.0.folders;
        let file = folders.image(name);
        let file = file.canonicalize().map_err(Error::io("find", &file))?;
        let now = image::grow(&file, &image.device, size_mb)?;
        let settings = VolumeSettings { size_mb: Some(size_mb), ..known.settings.clone() };
        folders.keep(name, &settings)?;
        let image = Some(Attached { size_mb, ..image.clone() });
        let place = Place::Mounted { path: path.clone(), root: root.clone(), image };
        self.0.known.lock().insert(name.clone(), Arc::new(Known::new(settings, true, place)));
        Ok(now)
    }

    /// Begins to delete a volume that was created by command.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OfSettings`].
    pub fn begin_delete(&self, name: &VolumeName) -> Result<Deletion, Error> {
        let change = self.change(name)?;
        let mut all = self.0.known.lock();
        let known = all.get(name).ok_or_else(|| Error::NotFound { name: name.clone() })?;
        if !known.made {
            return Err(Error::OfSettings { name: name.clone() });
        }
        let known = all.remove(name);
        Ok(Deletion { volumes: self.clone(), name: name.clone(), known, _change: change })
    }
}

impl Deletion {
    /// A directory of the machine that the volume uses and that is not deleted.
    pub fn kept(&self) -> Option<&Path> {
        self.known.as_ref()?.settings.path.as_deref()
    }

    /// Removes the volume and its content; a directory of the machine stays.
    ///
    /// # Errors
    /// The file system's error; the volume is restored then.
    pub fn finish(mut self) -> Result<(), Error> {
        let folders = &self.volumes.0.folders;
        if let Some(Known { place: Place::Mounted { path, .. }, .. }) = self.known.as_deref() {
            mounts::remove(path)?;
        }
        let trash = folders.discard(&self.name)?;
        self.known = None;
        // The next start removes leftovers.
        std::thread::spawn(move || fs::remove_dir_all(trash).ok());
        Ok(())
    }
}
