//! The inodes of a tree and the names that lead to them. Keeps count of names and attributes, and
//! frees what no name leads to any more.

use std::collections::{BTreeMap, btree_map};

use super::Limits;
use crate::entry::{Kind, Meta};
use crate::error::{Error, shown};
use crate::xattr;

/// Number of an inode, from 0. Numbers of inodes that are gone are given anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InodeId(u32);

/// The root directory is there from the start and never goes.
pub(crate) const ROOT: InodeId = InodeId(0);

/// Fewer than there are numbers, so that neither numbers nor counts of links run out before the
/// limit is reached.
const NAMES_MAX: u64 = u32::MAX as u64 - 15;
const THERE: &str = "only inodes that are there have names and numbers in use";

#[derive(Debug)]
pub(crate) struct Inode {
    pub meta: Meta,
    /// Names that lead to it; for a directory 2 and those of the directories in it.
    pub links: u32,
    body: Body,
}

/// Directories are told apart so that the many other inodes stay small.
#[derive(Debug)]
enum Body {
    Directory(Box<Directory>),
    Other(Kind),
}

#[derive(Debug)]
struct Directory {
    parent: InodeId,
    names: BTreeMap<Box<[u8]>, InodeId>,
}

#[derive(Debug)]
pub(crate) struct Inodes {
    /// `None` for numbers that are free.
    slots: Vec<Option<Inode>>,
    free: Vec<InodeId>,
    names: u64,
    xattr_bytes: u64,
    limits: Limits,
}

impl InodeId {
    /// As an index of a table with a place for each of [`Inodes::slots`].
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn number(self) -> u64 {
        u64::from(self.0)
    }
}

impl Inode {
    /// Never a hard link, whiteout or opaque mark.
    pub(crate) fn kind(&self) -> &Kind {
        match &self.body {
            Body::Directory(_) => &Kind::Directory,
            Body::Other(kind) => kind,
        }
    }

    /// overlayfs takes it for a whiteout, so it counts as nothing.
    fn is_hidden(&self) -> bool {
        matches!(self.body, Body::Other(Kind::CharDevice { major: 0, minor: 0 }))
    }
}

impl Inodes {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { entries_max: limits.entries_max.min(NAMES_MAX), ..limits };
        let body = Body::Directory(Box::new(Directory { parent: ROOT, names: BTreeMap::new() }));
        let root = Inode { meta: Meta { mode: 0o755, ..Meta::default() }, links: 2, body };
        Self { slots: vec![Some(root)], free: Vec::new(), names: 0, xattr_bytes: 0, limits }
    }

    /// Takes room for more inodes.
    pub(crate) fn reserve(&mut self, inodes: usize) {
        self.slots.reserve_exact(inodes);
    }

    /// How many numbers are or were in use; all are below.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn get(&self, id: InodeId) -> &Inode {
        self.slots[id.index()].as_ref().expect(THERE)
    }

    pub(crate) fn is_directory(&self, id: InodeId) -> bool {
        self.directory(id).is_some()
    }

    /// The directory that a directory is in; the root is in itself.
    pub(crate) fn parent(&self, id: InodeId) -> Option<InodeId> {
        self.directory(id).map(|directory| directory.parent)
    }

    /// What is at a name of a directory.
    pub(crate) fn lookup(&self, dir: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(dir)?.names.get(name).copied()
    }

    /// The names in a directory, in bytewise order, without those that are hidden; `None` if it is
    /// no directory.
    pub(crate) fn names(&self, id: InodeId) -> Option<Names<'_>> {
        self.directory(id).map(|directory| Names { inodes: self, names: directory.names.iter() })
    }

    /// A new inode, still without a name. `parent` is where a directory will be; `path` is for
    /// errors.
    pub(crate) fn add(&mut self, path: &[u8], parent: InodeId, kind: Kind, meta: Meta) -> Result<InodeId, Error> {
        self.count_xattrs(path, &meta)?;
        let inode = match kind {
            Kind::Directory => {
                let names = BTreeMap::new();
                Inode { meta, links: 2, body: Body::Directory(Box::new(Directory { parent, names })) }
            }
            kind => Inode { meta, links: 0, body: Body::Other(kind) },
        };
        if let Some(id) = self.free.pop() {
            self.slots[id.index()] = Some(inode);
            return Ok(id);
        }
        let id = InodeId(u32::try_from(self.slots.len()).expect("names run out before numbers"));
        self.slots.push(Some(inode));
        Ok(id)
    }

    pub(crate) fn set_meta(&mut self, path: &[u8], id: InodeId, meta: Meta) -> Result<(), Error> {
        self.xattr_bytes -= xattr::counted_bytes(&self.get(id).meta);
        self.count_xattrs(path, &meta)?;
        self.get_mut(id).meta = meta;
        Ok(())
    }

    /// Makes `name` of the directory `dir` lead to `id`; true when it replaced something.
    pub(crate) fn attach(&mut self, path: &[u8], dir: InodeId, name: &[u8], id: InodeId) -> Result<bool, Error> {
        let gains = if self.is_directory(id) { dir } else { id };
        self.get_mut(gains).links += 1;
        if let Some(old) = self.directory_mut(dir).names.insert(name.into(), id) {
            self.release(dir, old);
            return Ok(true);
        }
        self.names += 1;
        let limit = self.limits.entries_max;
        if self.names > limit {
            return Err(Error::TooLarge { path: shown(path), what: "entries", limit, key: "entries_max" });
        }
        Ok(false)
    }

    /// Removes a name, and what is below it; nothing if it is not there.
    pub(crate) fn remove(&mut self, dir: InodeId, name: &[u8]) {
        if let Some(old) = self.directory_mut(dir).names.remove(name) {
            self.names -= 1;
            self.release(dir, old);
        }
    }

    /// Removes all names of a directory, and what is below them.
    pub(crate) fn clear(&mut self, dir: InodeId) {
        let names = std::mem::take(&mut self.directory_mut(dir).names);
        self.names -= names.len() as u64;
        for old in names.into_values() {
            self.release(dir, old);
        }
    }

    /// `id` lost its name in `dir`.
    fn release(&mut self, dir: InodeId, id: InodeId) {
        if !self.is_directory(id) {
            return self.unlink(id);
        }
        self.get_mut(dir).links -= 1;
        // Not by recursion: a hostile tree is deeper than a stack.
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            let Body::Directory(directory) = self.take(id).body else { continue };
            self.names -= directory.names.len() as u64;
            for child in directory.names.into_values() {
                if self.is_directory(child) { doomed.push(child) } else { self.unlink(child) }
            }
        }
    }

    /// Something that is no directory lost one of its names.
    fn unlink(&mut self, id: InodeId) {
        let inode = self.get_mut(id);
        inode.links -= 1;
        if inode.links == 0 {
            self.take(id);
        }
    }

    fn take(&mut self, id: InodeId) -> Inode {
        let inode = self.slots[id.index()].take().expect(THERE);
        self.xattr_bytes -= xattr::counted_bytes(&inode.meta);
        self.free.push(id);
        inode
    }

    fn count_xattrs(&mut self, path: &[u8], meta: &Meta) -> Result<(), Error> {
        self.xattr_bytes += xattr::counted_bytes(meta);
        let limit = self.limits.xattr_bytes_max;
        if self.xattr_bytes > limit {
            let what = "bytes of extended attributes";
            return Err(Error::TooLarge { path: shown(path), what, limit, key: "xattr_bytes_max" });
        }
        Ok(())
    }

    fn get_mut(&mut self, id: InodeId) -> &mut Inode {
        self.slots[id.index()].as_mut().expect(THERE)
    }

    fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.get(id).body {
            Body::Directory(directory) => Some(directory),
            Body::Other(_) => None,
        }
    }

    fn directory_mut(&mut self, id: InodeId) -> &mut Directory {
        match &mut self.get_mut(id).body {
            Body::Directory(directory) => directory,
            Body::Other(_) => unreachable!("names are only put into directories"),
        }
    }
}

/// Names in a directory that are not hidden.
pub(crate) struct Names<'a> {
    inodes: &'a Inodes,
    names: btree_map::Iter<'a, Box<[u8]>, InodeId>,
}

impl<'a> Iterator for Names<'a> {
    type Item = (&'a [u8], InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        let inodes = self.inodes;
        self.names.by_ref().map(|(name, id)| (&**name, *id)).find(|(_, id)| !inodes.get(*id).is_hidden())
    }
}
