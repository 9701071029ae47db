//! Volumes created by command, on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use types::VolumeName;

use crate::config::VolumeSettings;
use crate::error::Error;

const RECORD: &str = "volume.json";
const DATA: &str = "data";

/// The folders of this crate.
pub struct Folders {
    made: PathBuf,
    mounts: PathBuf,
    images: PathBuf,
    trash: PathBuf,
}

impl Folders {
    /// Creates them below `dir`, and removes volumes whose deletion was interrupted.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let folders = Self {
            made: dir.join("made"),
            mounts: dir.join("mounts"),
            images: dir.join("images"),
            trash: dir.join("trash"),
        };
        for folder in [&folders.made, &folders.mounts, &folders.images, &folders.trash] {
            fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        }
        // Half-made images of an earlier run.
        for half in entries(&folders.images)?.into_iter().filter(|path| path.extension().is_some()) {
            fs::remove_file(&half).map_err(Error::io("remove", &half))?;
        }
        for left in entries(&folders.trash)? {
            let removed = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
            removed.map_err(Error::io("remove", &left))?;
        }
        Ok(folders)
    }

    /// Mount point of a volume with a file system of its own.
    pub fn mount_place(&self, name: &VolumeName) -> PathBuf {
        self.mounts.join(name.as_str())
    }

    /// The file of a volume of a fixed size.
    pub fn image(&self, name: &VolumeName) -> PathBuf {
        self.images.join(name.as_str())
    }

    /// All possible mount points.
    pub fn mount_places(&self) -> Result<Vec<PathBuf>, Error> {
        entries(&self.mounts)
    }

    /// The directory of a volume without another one.
    pub fn data(&self, name: &VolumeName) -> PathBuf {
        self.made.join(name.as_str()).join(DATA)
    }

    /// The created volumes.
    pub fn records(&self) -> Result<Vec<(VolumeName, VolumeSettings)>, Error> {
        let mut found = Vec::new();
        for entry in entries(&self.made)? {
            let name = entry.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let Some(name) = name else { continue };
            let path = entry.join(RECORD);
            match fs::read(&path) {
                Ok(bytes) => {
                    let record = serde_json::from_slice(&bytes).map_err(io::Error::from);
                    found.push((name, record.map_err(Error::io("read", &path))?));
                }
                // Its creation was interrupted, or it is being deleted.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    remove_file(&self.image(&name))?;
                    fs::remove_dir_all(&entry).map_err(Error::io("remove", &entry))?;
                }
                Err(error) => return Err(Error::io("read", path)(error)),
            }
        }
        Ok(found)
    }

    /// Creates the folder of a volume; the next start removes it unless [`Self::keep`] follows.
    pub fn make(&self, name: &VolumeName) -> Result<PathBuf, Error> {
        let folder = self.made.join(name.as_str());
        match fs::create_dir(&folder) {
            Ok(()) => Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !folder.join(RECORD).exists() => Ok(folder),
            Err(error) => Err(Error::io("make", folder)(error)),
        }
    }

    /// Writes its record, synced.
    pub fn keep(&self, name: &VolumeName, settings: &VolumeSettings) -> Result<(), Error> {
        let folder = self.made.join(name.as_str());
        let (beside, path) = (folder.join("volume.json.new"), folder.join(RECORD));
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(settings)?)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&folder)?.sync_all()?;
            File::open(&self.made)?.sync_all()
        };
        write().map_err(Error::io("write", path.clone()))
    }

    /// Moves a volume to the trash, for removal later. Without its record it counts as deleted,
    /// even if the platform stops in between.
    pub fn discard(&self, name: &VolumeName) -> Result<PathBuf, Error> {
        let (from, stamp) = (self.made.join(name.as_str()), std::time::SystemTime::now());
        let stamp = stamp.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let to = self.trash.join(format!("{name}-{stamp}"));
        let removed = fs::remove_file(from.join(RECORD)).and_then(|()| File::open(&from)?.sync_all());
        removed.map_err(Error::io("remove", &from))?;
        let image = self.image(name);
        match fs::rename(&image, from.join("image")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", image)(error)),
            _ => {}
        }
        fs::rename(&from, &to).map_err(Error::io("remove", &from))?;
        Ok(to)
    }
}

/// Removes a file if it exists.
fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    list().map_err(Error::io("list", folder))
}
