//! Facts of an image's root that hold for every start of it: its user, the places of the platform's
//! files and mounts, directories to create. Read once for an image, by its first start.

mod etc;
mod merged;

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::error::Error;
use crate::identity::{Identity, resolve};

use etc::Etc;
pub(crate) use etc::NAMES;
use merged::{Kind, Merged, Place};

/// Bytes read of an image's /etc/passwd or /etc/group.
const IDENTITY_FILE_BYTES_MAX: u64 = 4 << 20;
/// Mount points of the kernel's file systems and devices, over the image's files.
const KERNELS: &[&str] = &["proc", "sys", "dev"];
const TMP: &str = "tmp";
/// Mount point of shared memory, over the image's files.
const SHARED_MEMORY: &str = "dev/shm";
/// User and group inside.
type Owner = (u32, u32);
const ROOT: Owner = (0, 0);
/// Mode of created directories.
const DIR_MODE: u32 = 0o755;
/// Mode of `/tmp`.
const TMP_MODE: u32 = 0o1777;

/// Cached facts of an image's root: share one among all starts of an image.
#[derive(Debug, Default)]
pub struct RootFacts {
    plain: Known,
    /// Facts for starts with a `/tmp` of their own over the image's.
    covered: Known,
}

/// Facts of one kind of root.
#[derive(Debug, Default)]
struct Known {
    facts: OnceLock<Arc<Facts>>,
    /// Places of mounts, by the requested paths.
    places: Mutex<Vec<(Vec<String>, Places)>>,
}

/// Mount points, in the order of their paths.
pub(crate) type Places = Arc<Vec<MountPlace>>;

/// Number of path lists whose places are cached.
const PLACES_MAX: usize = 16;

/// A mount point.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MountPlace {
    /// The place.
    pub target: Target,
    /// Directories to create for it, parents first.
    pub dirs: Vec<Dir>,
}

impl RootFacts {
    fn known(&self, image: &Image<'_>) -> &Known {
        if image.covers_tmp { &self.covered } else { &self.plain }
    }

    /// Reads the facts, unless an earlier start has.
    pub(crate) fn of(&self, image: &Image<'_>) -> Result<Arc<Facts>, Error> {
        let Known { facts, .. } = self.known(image);
        if let Some(known) = facts.get() {
            return Ok(known.clone());
        }
        let read = Arc::new(Facts::read(image)?);
        // Two concurrent first starts read the same facts.
        Ok(facts.get_or_init(|| read).clone())
    }

    /// Resolves the mount points at these paths, unless an earlier start has.
    pub(crate) fn places(&self, image: &Image<'_>, paths: &[&str]) -> Result<Places, Error> {
        if paths.is_empty() {
            return Ok(Places::default());
        }
        let is_it = |known: &[String]| known.iter().map(String::as_str).eq(paths.iter().copied());
        let Known { places: all, .. } = self.known(image);
        if let Some((_, places)) = all.lock().iter().find(|(known, _)| is_it(known)) {
            return Ok(places.clone());
        }
        let root = Merged::open(image.lower_dirs)?;
        let covered = if image.covers_tmp { tmp(&root, image)?.1 } else { None };
        let places = paths.iter().map(|path| mount_place(&root, path, covered.as_ref(), image.made_dirs_max));
        let places = Arc::new(places.collect::<Result<Vec<_>, _>>()?);
        let mut known = all.lock();
        if known.len() >= PLACES_MAX {
            known.remove(0);
        }
        known.push((paths.iter().map(|path| (*path).to_owned()).collect(), places.clone()));
        Ok(places)
    }
}

/// The parts of an image that determine its root's facts.
pub(crate) struct Image<'a> {
    /// Its layers, topmost first.
    pub lower_dirs: &'a [PathBuf],
    /// Its user.
    pub user: &'a str,
    /// Working directory of its programs.
    pub working_dir: &'a str,
    /// Directories for data.
    pub volumes: &'a [String],
    /// Maximum number of directories to create.
    pub made_dirs_max: usize,
    /// Whether a file system is mounted at `/tmp` even where the image's is not empty.
    pub covers_tmp: bool,
}

/// Facts of an image's root.
#[derive(Debug)]
pub(crate) struct Facts {
    /// User and groups of its programs.
    pub identity: Identity,
    /// Places of the platform's files of `/etc`.
    pub etc: Etc,
    /// Kind of `/tmp`.
    pub tmp: Tmp,
    /// Directories to create.
    pub dirs: Vec<Dir>,
    /// Directories to create in the mount at `/tmp`, by their paths below it.
    pub tmp_dirs: Vec<Dir>,
}

/// Kinds of `/tmp` of an instance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tmp {
    /// A file system of its own, mounted at this place.
    Mounted(Target),
    /// The image's directory, if it is not empty, or the one for shared memory, if a link leads
    /// there; its mode is set where there is a place.
    Kept(Option<Target>),
}

/// A place in the root whose path has no links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its parent directory; empty for the root.
    pub parent: Vec<u8>,
    /// Its name in the parent.
    pub name: Vec<u8>,
}

/// A directory to create.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    /// Its place.
    pub target: Target,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub owner: Owner,
}

impl Target {
    /// The target of a place; `None` for the root itself.
    fn of(place: &Place) -> Option<Self> {
        let (parent, name) = place.split()?;
        Some(Self { parent, name: name.to_vec() })
    }
}

impl Dir {
    fn of(place: &Place, owner: Owner) -> Option<Self> {
        Target::of(place).map(|target| Self { target, mode: DIR_MODE, owner })
    }
}

impl Facts {
    fn read(image: &Image<'_>) -> Result<Self, Error> {
        let root = Merged::open(image.lower_dirs)?;
        for name in KERNELS {
            in_the_way(name, kind_of_name(&root, name)?)?;
        }
        let (tmp, mounted) = tmp(&root, image)?;
        let [passwd, group] = ["etc/passwd", "etc/group"].map(|path| (path, text(&root, path)));
        let identity = resolve(image.user, &passwd.1, &group.1).map_err(|error| {
            let cut = [&passwd, &group].into_iter().find(|(_, text)| text.len() as u64 >= IDENTITY_FILE_BYTES_MAX);
            match (cut, error) {
                (Some((path, _)), Error::UnknownIdentity { .. }) => {
                    Error::IdentityFileTooLarge { path, bytes_max: IDENTITY_FILE_BYTES_MAX }
                }
                (_, error) => error,
            }
        })?;
        let user = (identity.uid, identity.gid);
        let (mut dirs, mut tmp_dirs) = (Vec::new(), Vec::new());
        for (dir, owner) in wanted_dirs(&root, image, mounted.as_ref(), user)? {
            match mounted.as_ref().and_then(|tmp| dir.below(tmp)) {
                Some(below) => tmp_dirs.extend(Dir::of(&below, owner)),
                None => dirs.extend(Dir::of(&dir, owner)),
            }
        }
        let mut etc = Etc::of(&root, mounted.as_ref());
        // A volume belongs to its user, even where a link of `/etc` leads into it.
        for dir in &mut etc.dirs {
            if let Some(volume) = dirs.iter().find(|volume| volume.target == dir.target) {
                dir.owner = volume.owner;
            }
        }
        Ok(Self { identity, etc, tmp, dirs, tmp_dirs })
    }
}

/// Decides the kind of `/tmp`, and the place of its mount, if any.
fn tmp(root: &Merged, image: &Image<'_>) -> Result<(Tmp, Option<Place>), Error> {
    let place = root.resolve(TMP.as_bytes()).map_err(|_| leads_nowhere(TMP))?;
    if place.path() == SHARED_MEMORY.as_bytes() {
        if image.covers_tmp {
            return Err(Error::InTheWay { path: "/tmp".to_owned(), what: "a link to /dev/shm" });
        }
        // The file system there has the mode already.
        return Ok((Tmp::Kept(None), None));
    }
    in_the_way(TMP, place.kind())?;
    let target = Target::of(&place).filter(|_| !is_kernels(&place)).ok_or_else(|| leads_nowhere(TMP))?;
    if image.covers_tmp || place.kind() == Kind::Missing || !root.has_entries(&place) {
        return Ok((Tmp::Mounted(target), Some(place)));
    }
    let has_mode = root.stat(&place).is_some_and(|stat| stat.st_mode & 0o7777 == TMP_MODE);
    Ok((Tmp::Kept((!has_mode).then_some(target)), None))
}

/// Directories that are required and missing in the layers, parents first, and their owners:
/// volumes of the config, the working directory, and the target of a link at `/tmp`. A created
/// volume belongs to the user, so that it can write there; existing directories of the image stay
/// unchanged, as under docker.
fn wanted_dirs(
    root: &Merged,
    image: &Image<'_>,
    tmp: Option<&Place>,
    user: Owner,
) -> Result<Vec<(Place, Owner)>, Error> {
    let too_many = || Error::BadSpec {
        what: "volumes and working directory",
        value: format!("{} volumes", image.volumes.len()),
        reason: "too many directories would have to be made for them; raise [sandbox] made_dirs_max",
    };
    if image.volumes.len() > image.made_dirs_max {
        return Err(too_many());
    }
    let resolved = |path: &str| root.resolve(path.as_bytes()).ok().filter(|place| !is_kernels(place));
    let mut places: Vec<_> = image.volumes.iter().filter_map(|volume| Some((resolved(volume)?, user))).collect();
    places.extend(resolved(image.working_dir).map(|place| (place, ROOT)));
    // Where the image has none, its mount creates it; not every runtime does so behind a link.
    places.extend(tmp.filter(|tmp| tmp.path() != TMP.as_bytes()).map(|tmp| (tmp.clone(), ROOT)));
    // A nested volume comes after its parent; a path that is both volume and working directory
    // counts as a volume.
    places.sort_by_key(|(place, owner)| (place.path(), *owner == ROOT));
    let mut dirs: Vec<(Place, Owner)> = Vec::new();
    for (place, owner) in places {
        let steps: Vec<Place> = match tmp.filter(|tmp| place.below(tmp).is_some()) {
            // The mount is empty, whatever the image has there.
            Some(tmp) => place.steps_below(tmp).collect(),
            None => place.missing().collect(),
        };
        for dir in steps {
            let is_tmp = dir.path() == TMP.as_bytes() && tmp.is_some();
            if !is_tmp && !dirs.iter().any(|(made, _)| *made == dir) {
                let owner = if dir == place { owner } else { ROOT };
                dirs.push((dir, owner));
            }
            if dirs.len() > image.made_dirs_max {
                return Err(too_many());
            }
        }
    }
    Ok(dirs)
}

/// Resolves a mount point and its missing directories; a covered directory counts as empty.
fn mount_place(root: &Merged, path: &str, covered: Option<&Place>, made_dirs_max: usize) -> Result<MountPlace, Error> {
    let refused = |what| Error::MountPoint { path: path.to_owned(), what };
    let place = root.resolve(path.as_bytes()).map_err(|_| refused("a link or file that leads nowhere"))?;
    match place.kind() {
        Kind::Directory | Kind::Missing => {}
        Kind::File => return Err(refused("a file")),
        _ => return Err(refused("no directory")),
    }
    if is_kernels(&place) {
        return Err(refused("a link to the kernel's files"));
    }
    let target = Target::of(&place).ok_or_else(|| refused("a link to the whole root"))?;
    let dirs: Vec<Dir> = match covered.filter(|covered| place.below(covered).is_some()) {
        Some(covered) => place.steps_below(covered).filter_map(|dir| Dir::of(&dir, ROOT)).collect(),
        None => place.missing().filter_map(|dir| Dir::of(&dir, ROOT)).collect(),
    };
    if dirs.len() > made_dirs_max {
        let reason = "too many directories would have to be made for it; raise [sandbox] made_dirs_max";
        return Err(Error::BadSpec { what: "path of a volume", value: path.to_owned(), reason });
    }
    Ok(MountPlace { target, dirs })
}

/// Whether a place is at or below a mount of the kernel's file systems.
fn is_kernels(place: &Place) -> bool {
    KERNELS.iter().any(|name| place.first() == name.as_bytes())
}

/// Type of the file at a name in the root; a link is not followed.
fn kind_of_name(root: &Merged, name: &'static str) -> Result<Kind, Error> {
    let place = root.resolve(name.as_bytes()).map_err(|_| leads_nowhere(name))?;
    // It resolves elsewhere, so it is a link.
    Ok(if place.path() == name.as_bytes() { place.kind() } else { Kind::Link })
}

fn in_the_way(name: &'static str, kind: Kind) -> Result<(), Error> {
    let what = match kind {
        Kind::Directory | Kind::Missing => return Ok(()),
        Kind::Link => "a symbolic link",
        Kind::File => "a file",
        _ => "no directory",
    };
    Err(Error::InTheWay { path: format!("/{name}"), what })
}

fn leads_nowhere(name: &'static str) -> Error {
    Error::InTheWay { path: format!("/{name}"), what: "a symbolic link to no directory of its own" }
}

/// Text of a file. An unreadable one yields no names; a user given by number works without it.
fn text(root: &Merged, path: &str) -> String {
    let mut bytes = Vec::new();
    if let Some(file) = root.file(path) {
        file.take(IDENTITY_FILE_BYTES_MAX).read_to_end(&mut bytes).ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
