//! An image's files as the overlay of its layers will show them, before it is mounted. Paths are
//! resolved here, name by name: the kernel never follows a link of the image, so that none leads
//! out of the root.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fgetxattr, flistxattr, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use crate::error::Error;

/// Maximum of links followed for one path, as in the kernel (`MAXSYMLINKS`, linux/namei.h).
const LINKS_MAX: usize = 40;

/// Longest name of a file (linux/limits.h, `NAME_MAX`).
const NAME_BYTES_MAX: usize = 255;
/// Longest path that system calls take (`PATH_MAX`, less its end).
const PATH_BYTES_MAX: usize = 4095;

/// Type of the file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No file.
    Missing,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, fifo or socket.
    Special,
}

/// A resolved path: names from the root, none of them a link, each with its type. Empty for the
/// root itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(Vec<(Vec<u8>, Kind)>);

/// A path that cannot resolve: a loop of links, a component that is not a directory, or a path
/// longer than the kernel accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nowhere;

impl Place {
    /// Type of the file there.
    pub fn kind(&self) -> Kind {
        self.0.last().map_or(Kind::Directory, |(_, kind)| *kind)
    }

    /// The path, without a leading slash.
    pub fn path(&self) -> Vec<u8> {
        join(&self.0)
    }

    /// The first component.
    pub fn first(&self) -> &[u8] {
        self.0.first().map_or(&[], |(name, _)| name)
    }

    /// Directory and name; `None` for the root.
    pub fn split(&self) -> Option<(Vec<u8>, &[u8])> {
        let ((name, _), above) = self.0.split_last()?;
        Some((join(above), name))
    }

    /// The parent directory; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// The missing places on the path, itself the last.
    pub fn missing(&self) -> impl Iterator<Item = Self> {
        let first = self.0.iter().position(|(_, kind)| *kind == Kind::Missing).unwrap_or(self.0.len());
        (first..self.0.len()).map(|last| Self(self.0[..=last].to_vec()))
    }

    /// The path relative to another place; `None` when it is not below it.
    pub fn below(&self, other: &Self) -> Option<Self> {
        let (above, rest) = self.0.split_at_checked(other.0.len())?;
        let same = above.iter().zip(&other.0).all(|((one, _), (other, _))| one == other);
        (same && !rest.is_empty()).then(|| Self(rest.to_vec()))
    }

    /// The places between another one, above it, and itself, which is the last.
    pub fn steps_below(&self, above: &Self) -> impl Iterator<Item = Self> {
        (above.0.len()..self.0.len()).map(|last| Self(self.0[..=last].to_vec()))
    }

    /// A name in this directory, with no known file.
    pub fn child(&self, name: &[u8]) -> Self {
        Self(self.0.iter().cloned().chain([(name.to_vec(), Kind::Missing)]).collect())
    }

    fn is_missing(&self) -> bool {
        self.kind() == Kind::Missing
    }
}

fn join(names: &[(Vec<u8>, Kind)]) -> Vec<u8> {
    names.iter().map(|(name, _)| name.as_slice()).collect::<Vec<_>>().join(&b'/')
}

/// The layers, topmost first.
pub struct Merged(Vec<OwnedFd>);

/// A layer's entry for a path.
enum Said {
    Found(OwnedFd, Stat),
    /// The path is hidden, whatever lower layers have.
    Hidden,
    /// The layer has no entry; the next one decides.
    Nothing,
}

impl Merged {
    /// Opens the layers' directories.
    pub fn open(dirs: &[PathBuf]) -> Result<Self, Error> {
        let open = |dir: &PathBuf| File::open(dir).map(OwnedFd::from).map_err(Error::path("open", dir));
        dirs.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Resolves a path as a process in the root would. Components may be missing: names below them
    /// are taken literally.
    pub fn resolve(&self, path: &[u8]) -> Result<Place, Nowhere> {
        let names = |path: &[u8]| path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        if path.len() > PATH_BYTES_MAX {
            return Err(Nowhere);
        }
        let (mut place, mut rest, mut links) = (Place::default(), names(path), 0);
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                long if long.len() > NAME_BYTES_MAX || long.contains(&0) => return Err(Nowhere),
                _ if matches!(place.kind(), Kind::File | Kind::Special) => return Err(Nowhere),
                b".." => {
                    place.0.pop();
                    continue;
                }
                _ => {}
            }
            // Each name has a slash before it.
            if place.0.len() > PATH_BYTES_MAX / 2 {
                return Err(Nowhere);
            }
            let missing = place.is_missing();
            place.0.push((name, Kind::Missing));
            let Some((fd, stat)) = (!missing).then(|| self.find(&place.path())).flatten() else { continue };
            let kind = kind(&stat);
            if kind != Kind::Link {
                place.0.last_mut().expect("just pushed").1 = kind;
                continue;
            }
            links += 1;
            let target = readlinkat(&fd, "", Vec::new()).map_err(|_| Nowhere)?.into_bytes();
            if links > LINKS_MAX {
                return Err(Nowhere);
            }
            if target.starts_with(b"/") {
                place = Place::default();
            } else {
                place.0.pop();
            }
            rest.extend(names(&target));
        }
        if place.path().len() > PATH_BYTES_MAX {
            return Err(Nowhere);
        }
        Ok(place)
    }

    /// Opens a regular file, following links inside the root; `None` if there is none.
    pub fn file(&self, path: &str) -> Option<File> {
        let place = self.resolve(path.as_bytes()).ok().filter(|place| place.kind() == Kind::File)?;
        let (found, _) = self.find(&place.path())?;
        // Reopened by descriptor, so that the checked file is the one that is read.
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&found));
        File::open(again).ok()
    }

    /// Whether a directory has entries.
    pub fn has_entries(&self, place: &Place) -> bool {
        let entries = |layer: &OwnedFd| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = openat2(layer, dotted(&place.path()), flags, Mode::empty(), PLAIN)?;
            let named = |name: &[u8]| name != b"." && name != b"..";
            Ok::<_, Errno>(Dir::read_from(&dir)?.flatten().any(|entry| {
                named(entry.file_name().to_bytes())
                    && !at(&dir, entry.file_name().to_bytes()).is_ok_and(|(_, stat)| is_whiteout(&stat))
            }))
        };
        // An upper layer may have removed entries of a lower one: the directory then still counts
        // as one with entries.
        self.0.iter().any(|layer| entries(layer).unwrap_or(false))
    }

    /// Mode bits and owner of the file at a place.
    pub fn stat(&self, place: &Place) -> Option<Stat> {
        self.find(&place.path()).map(|(_, stat)| stat)
    }

    /// The same at a path, whose last component is not followed.
    pub fn stat_at(&self, path: &str) -> Option<Stat> {
        self.find(path.as_bytes()).map(|(_, stat)| stat)
    }

    /// The layer of an image with a single one, which equals the merged root.
    pub fn only(&self) -> Option<&OwnedFd> {
        let [one] = self.0.as_slice() else { return None };
        Some(one)
    }

    /// Finds the topmost entry at a path without links.
    fn find(&self, path: &[u8]) -> Option<(OwnedFd, Stat)> {
        for layer in &self.0 {
            match said(layer, path) {
                Said::Found(fd, stat) => return Some((fd, stat)),
                Said::Hidden => return None,
                Said::Nothing => {}
            }
        }
        None
    }
}

/// Links are followed neither on the path nor at its end, and the path stays below the directory.
const PLAIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// A layer's entry for a path (Documentation/filesystems/overlayfs.rst): a whiteout, an opaque
/// directory, or a file in a directory's place hides lower layers.
fn said(layer: &OwnedFd, path: &[u8]) -> Said {
    match at(layer, path) {
        Ok((_, stat)) if is_whiteout(&stat) => return Said::Hidden,
        Ok((fd, stat)) => return Said::Found(fd, stat),
        Err(Errno::NOENT) => {}
        Err(_) => return Said::Hidden,
    }
    for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        match at(layer, &path[..end]) {
            Ok((_, stat)) if kind(&stat) == Kind::Directory => {}
            Err(Errno::NOENT) => return Said::Nothing,
            _ => return Said::Hidden,
        }
        if is_opaque(layer, &path[..end]) {
            return Said::Hidden;
        }
    }
    Said::Nothing
}

fn at(layer: &OwnedFd, path: &[u8]) -> Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat2(layer, dotted(path), flags, Mode::empty(), PLAIN)?;
    let stat = statat(&found, "", AtFlags::EMPTY_PATH)?;
    Ok((found, stat))
}

/// The kernel rejects an empty path.
fn dotted(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Link,
        _ => Kind::Special,
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a layer's directory is opaque: it hides those of lower layers.
fn is_opaque(layer: &OwnedFd, path: &[u8]) -> bool {
    let mut value = [0_u8; 1];
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(layer, dotted(path), flags, Mode::empty(), PLAIN)
        .and_then(|dir| fgetxattr(&dir, "trusted.overlay.opaque", &mut value))
        .is_ok_and(|length| length == 1 && value == *b"y")
}

/// Whether a directory of a layer has no extended attributes.
pub fn has_no_attributes(layer: &OwnedFd, path: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat2(layer, dotted(path), flags, Mode::empty(), PLAIN);
    dir.and_then(|dir| flistxattr(&dir, &mut [0_u8; 0])).is_ok_and(|bytes| bytes == 0)
}
