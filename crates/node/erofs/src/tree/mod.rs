//! The root file system of merged layers. Owns the rules of merging.

mod inodes;
mod resolve;
mod walk;

use std::collections::HashSet;

use crate::accept;
use crate::entry::{Entry, Kind, Meta};
use crate::error::{Error, shown};
use crate::path;

use self::inodes::Inodes;
use self::resolve::{Resolver, Way};

pub(crate) use self::inodes::{InodeId, ROOT};
pub use self::resolve::{LINK_HOPS_MAX, LINK_STEPS_MAX};
pub use self::walk::Visit;

/// Limits of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names below the root, including hard links and directories that no layer mentions; at most
    /// 4294967280. Each inode has a name, so that this limits the inodes too.
    pub entries_max: u64,
    /// Bytes of all names and values of extended attributes.
    pub xattr_bytes_max: u64,
}

/// The root file system of merged layers.
#[derive(Debug)]
pub struct Tree {
    pub(crate) inodes: Inodes,
    resolver: Resolver,
    /// Parent directory of the last entry, with its path, which the next entry is likely to share.
    last: Option<(Vec<u8>, InodeId)>,
}

impl Tree {
    /// An empty root directory: mode 0755, owner root, time 1970.
    pub fn new(limits: Limits) -> Self {
        Self { inodes: Inodes::new(limits), resolver: Resolver::default(), last: None }
    }

    /// Reserves memory for a number of inodes at once: growing step by step would temporarily take
    /// up to three times as much.
    pub fn reserve(&mut self, inodes: usize) {
        self.inodes.reserve(inodes);
    }

    /// Merges a layer on top. `devices[n]` is the index in the image's device table, from 0, of the
    /// layer's device n.
    ///
    /// The result equals that of unpacking the layers one after the other into a directory:
    ///
    /// - Whiteouts and opaque marks hide entries of lower layers, never of this layer, at any
    ///   position in it.
    /// - A directory over a directory replaces its metadata and keeps its content. Any other entry
    ///   replaces the entry at its path and its subtree. Of several entries with one path the last
    ///   stays.
    /// - Missing directories of an entry's path are created with mode 0755, owner root and time
    ///   1970. Symbolic links in the path are followed, at most [`LINK_HOPS_MAX`] and never out of
    ///   the root. For a whiteout or opaque mark a link in the path is not followed where this
    ///   layer has a directory in its place: the mark applies to the content of that directory, not
    ///   of the link's target.
    /// - A hard link shares the inode that its target's path has then, whose metadata do not
    ///   change.
    /// - A character device of numbers 0 and 0 counts as absent: [`walk`](Self::walk) and
    ///   [`write`](crate::write()) omit it and hard links to it. overlayfs, which every instance's
    ///   file system is, would take it for a whiteout and show the same; and images copied from an
    ///   overlay's upper directory have many.
    /// - Extended attributes are omitted if they are overlayfs' own (`trusted.overlay.*`,
    ///   `user.overlay.*`), if EROFS cannot store their namespace, or if Linux does not allow them
    ///   for inodes of that kind.
    ///
    /// # Errors
    /// The invalid entry and its problem; the tree cannot be used then.
    pub fn apply(&mut self, entries: Vec<Entry>, devices: &[u16]) -> Result<(), Error> {
        self.apply_each(|| entries.iter().cloned().map(Ok), devices)
    }

    /// As [`Tree::apply`], for entries that need not all be in memory: each call of `entries`
    /// starts with the first.
    ///
    /// # Errors
    /// The invalid entry and its problem, or an error of `entries`; the tree cannot be used then.
    pub fn apply_each<I, E>(&mut self, entries: impl Fn() -> I, devices: &[u16]) -> Result<(), E>
    where
        I: Iterator<Item = Result<Entry, E>>,
        E: From<Error>,
    {
        self.hide(&entries)?;
        for entry in entries() {
            let entry = entry?;
            path::check(&entry.path).map_err(|reason| Error::entry(&entry.path, reason))?;
            if !matches!(entry.kind, Kind::Whiteout | Kind::Opaque) {
                self.put(entry, devices)?;
            }
        }
        Ok(())
    }

    /// Applies the whiteouts and opaque marks among `entries` to the lower layers.
    fn hide<I, E>(&mut self, entries: &impl Fn() -> I) -> Result<(), E>
    where
        I: Iterator<Item = Result<Entry, E>>,
        E: From<Error>,
    {
        let is_mark = |entry: &Entry| matches!(entry.kind, Kind::Whiteout | Kind::Opaque);
        let mut has_marks = false;
        for entry in entries() {
            has_marks |= is_mark(&entry?);
        }
        if !has_marks {
            return Ok(());
        }
        self.last = None;
        let mut directories = HashSet::new();
        for entry in entries() {
            let entry = entry?;
            if entry.kind == Kind::Directory {
                directories.insert(entry.path.into_boxed_slice());
            }
        }
        for mark in entries() {
            let mark = mark?;
            if is_mark(&mark) {
                self.hide_one(&mark, &directories)?;
            }
        }
        Ok(())
    }

    fn hide_one(&mut self, mark: &Entry, directories: &HashSet<Box<[u8]>>) -> Result<(), Error> {
        path::check(&mark.path).map_err(|reason| Error::entry(&mark.path, reason))?;
        let (dir, hidden) = match (&mark.kind, path::split(&mark.path)) {
            (Kind::Opaque, _) => (&mark.path[..], None),
            (_, Some((dir, name))) => (dir, Some(name)),
            (_, None) => return Err(Error::entry(&mark.path, "is a whiteout of the root")),
        };
        let way = self.resolver.resolve(&self.inodes, dir, directories);
        let Way::There(dir) = way.map_err(|circle| circle.error(&mark.path))? else { return Ok(()) };
        match hidden {
            Some(name) => self.inodes.remove(dir, name),
            None => self.inodes.clear(dir),
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry, devices: &[u16]) -> Result<(), Error> {
        let Entry { path, kind, meta } = entry;
        let Some((parent, name)) = path::split(&path) else { return self.put_root(&kind, meta) };
        let parent = self.parent(&path, parent)?;
        if let Kind::HardLink { target } = &kind {
            let target = self.target(&path, target)?;
            return self.attach(&path, parent, name, target);
        }
        let kind = accept::kind(&path, kind, devices)?;
        let meta = accept::meta(&path, &kind, meta)?;
        let old = self.inodes.lookup(parent, name);
        match old.filter(|old| kind == Kind::Directory && self.inodes.is_directory(*old)) {
            Some(old) => self.inodes.set_meta(&path, old, meta),
            None => {
                let made = self.inodes.add(&path, parent, kind, meta)?;
                self.attach(&path, parent, name, made)
            }
        }
    }

    fn put_root(&mut self, kind: &Kind, meta: Meta) -> Result<(), Error> {
        if *kind != Kind::Directory {
            return Err(Error::entry(b"", "is the root, but no directory"));
        }
        self.inodes.set_meta(b"", ROOT, accept::meta(b"", kind, meta)?)
    }

    fn attach(&mut self, path: &[u8], parent: InodeId, name: &[u8], inode: InodeId) -> Result<(), Error> {
        if self.inodes.attach(path, parent, name, inode)? {
            // The replaced entry may have been on the path of the cached directory.
            self.last = None;
        }
        Ok(())
    }

    /// The directory at `parent`, the directory part of an entry's path; created if missing.
    fn parent(&mut self, path: &[u8], parent: &[u8]) -> Result<InodeId, Error> {
        if let Some((last, found)) = &self.last
            && last == parent
        {
            return Ok(*found);
        }
        let way = self.resolver.resolve(&self.inodes, parent, &HashSet::new());
        let found = match way.map_err(|circle| circle.error(path))? {
            Way::There(found) => found,
            Way::Missing { from, names } => self.make(path, from, &names)?,
            Way::Blocked { by } => {
                return Err(Error::ParentNotDirectory { path: shown(path), parent: shown(&parent[..by]) });
            }
        };
        let (last, _) = self.last.insert((Vec::new(), found));
        last.extend_from_slice(parent);
        Ok(found)
    }

    fn make(&mut self, path: &[u8], from: InodeId, names: &[Box<[u8]>]) -> Result<InodeId, Error> {
        let mut parent = from;
        for name in names {
            path::check_length(name).map_err(|reason| Error::entry(path, reason))?;
            let meta = Meta { mode: 0o755, ..Meta::default() };
            let made = self.inodes.add(path, parent, Kind::Directory, meta)?;
            self.attach(path, parent, name, made)?;
            parent = made;
        }
        Ok(parent)
    }

    /// The inode that a hard link at `path` shares.
    fn target(&mut self, path: &[u8], target: &[u8]) -> Result<InodeId, Error> {
        path::check(target).map_err(|reason| Error::entry(target, reason))?;
        let Some((dir, name)) = path::split(target) else {
            return Err(Error::HardLinkToDirectory { path: shown(path), target: "/".to_owned() });
        };
        let way = self.resolver.resolve(&self.inodes, dir, &HashSet::new());
        let found = match way.map_err(|circle| circle.error(target))? {
            Way::There(dir) => self.inodes.lookup(dir, name),
            Way::Missing { .. } | Way::Blocked { .. } => None,
        };
        match found {
            None => Err(Error::HardLinkToNothing { path: shown(path), target: shown(target) }),
            Some(found) if self.inodes.is_directory(found) => {
                Err(Error::HardLinkToDirectory { path: shown(path), target: shown(target) })
            }
            Some(found) => Ok(found),
        }
    }
}
