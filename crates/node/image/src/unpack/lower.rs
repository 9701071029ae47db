//! The layers below one, looked through as overlayfs would: a whiteout, a file in a directory's place, or an opaque
//! directory ends the search. Must not know archives, and changes nothing.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{self, Mode, OFlags, Stat};

use super::path::EntryPath;
use super::tree::{self, Metadata, Tree};

/// Lower layers, topmost first.
pub(super) struct Lowers(Vec<Tree>);

/// Something found in a lower layer: the directory that has it, and its name there.
pub(super) struct Found {
    pub dir: OwnedFd,
    pub name: Vec<u8>,
    pub stat: Stat,
}

/// What one layer says about a path.
enum Answer {
    Here(Found),
    /// Nothing here or below.
    Hidden,
    /// Ask the next layer.
    Below,
}

impl Lowers {
    pub(super) fn open(dirs: &[PathBuf]) -> rustix::io::Result<Self> {
        dirs.iter().map(|dir| Tree::open(dir)).collect::<Result<_, _>>().map(Self)
    }

    /// What is seen at `path`, which is not the root.
    pub(super) fn find(&self, path: &EntryPath) -> rustix::io::Result<Option<Found>> {
        for layer in &self.0 {
            match look(layer, path)? {
                Answer::Here(found) => return Ok(Some(found)),
                Answer::Hidden => return Ok(None),
                Answer::Below => {}
            }
        }
        Ok(None)
    }

    /// Metadata of the directory that is seen at `path`, if there is one.
    pub(super) fn dir_metadata(&self, path: &EntryPath) -> rustix::io::Result<Option<Metadata>> {
        if path.is_root() {
            return self.0.first().map(|top| tree::metadata(&top.dir(path)?)).transpose();
        }
        let Some(found) = self.find(path)?.filter(|found| tree::is_dir(&found.stat)) else { return Ok(None) };
        tree::metadata(&open_dir(&found.dir, &found.name)?).map(Some)
    }
}

fn open_dir(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(dir, name, flags, Mode::empty())
}

fn look(layer: &Tree, path: &EntryPath) -> rustix::io::Result<Answer> {
    let mut dir = layer.dir(&EntryPath::default())?;
    let mut opaque = false;
    let mut parts = path.parts().peekable();
    while let Some(part) = parts.next() {
        let Some(stat) = tree::stat(&dir, part)? else {
            return Ok(if opaque { Answer::Hidden } else { Answer::Below });
        };
        if tree::is_whiteout(&stat) {
            return Ok(Answer::Hidden);
        }
        if parts.peek().is_none() {
            return Ok(Answer::Here(Found { dir, name: part.to_vec(), stat }));
        }
        if !tree::is_dir(&stat) {
            return Ok(Answer::Hidden);
        }
        dir = open_dir(&dir, part)?;
        opaque |= tree::is_opaque(&dir)?;
    }
    Ok(Answer::Below)
}
