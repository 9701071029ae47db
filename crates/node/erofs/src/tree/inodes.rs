//! The inodes of a tree and their names. Counts names and attributes, and frees inodes without
//! names.

use std::collections::{BTreeMap, btree_map};

use super::Limits;
use crate::entry::{Kind, Meta};
use crate::error::{Error, shown};
use crate::xattr;

/// Number of an inode, from 0. Numbers of freed inodes are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InodeId(u32);

/// The root directory always exists.
pub(crate) const ROOT: InodeId = InodeId(0);

/// Below the number of ids, so that neither ids nor link counts overflow before the limit is
/// reached.
const NAMES_MAX: u64 = u32::MAX as u64 - 15;
const THERE: &str = "only inodes that are there have names and numbers in use";

#[derive(Debug)]
pub(crate) struct Inode {
    pub meta: Meta,
    /// Number of its names; for a directory 2 and the number of its subdirectories.
    pub links: u32,
    body: Body,
}

/// Directories have a separate variant so that the many other inodes stay small.
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
    /// `None` for free numbers.
    slots: Vec<Option<Inode>>,
    free: Vec<InodeId>,
    names: u64,
    xattr_bytes: u64,
    limits: Limits,
}

impl InodeId {
    /// Index in a table with an entry for each of [`Inodes::slots`].
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

    /// Whether overlayfs takes it for a whiteout, so that it counts as absent.
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

    /// Reserves memory for more inodes.
    pub(crate) fn reserve(&mut self, inodes: usize) {
        self.slots.reserve_exact(inodes);
    }

    /// Upper bound of all numbers in use.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn get(&self, id: InodeId) -> &Inode {
        self.slots[id.index()].as_ref().expect(THERE)
    }

    pub(crate) fn is_directory(&self, id: InodeId) -> bool {
        self.directory(id).is_some()
    }

    /// The parent of a directory; the root is its own.
    pub(crate) fn parent(&self, id: InodeId) -> Option<InodeId> {
        self.directory(id).map(|directory| directory.parent)
    }

    /// The inode of a name in a directory.
    pub(crate) fn lookup(&self, dir: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(dir)?.names.get(name).copied()
    }

    /// The visible names in a directory, in bytewise order; `None` if it is not a directory.
    pub(crate) fn names(&self, id: InodeId) -> Option<Names<'_>> {
        self.directory(id).map(|directory| Names { inodes: self, names: directory.names.iter() })
    }

    /// Adds an inode without a name yet. `parent` is where a directory will be; `path` is for
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

    /// Binds `name` in the directory `dir` to `id`; true when it replaced another inode.
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

    /// Removes a name and its subtree, if it exists.
    pub(crate) fn remove(&mut self, dir: InodeId, name: &[u8]) {
        if let Some(old) = self.directory_mut(dir).names.remove(name) {
            self.names -= 1;
            self.release(dir, old);
        }
    }

    /// Removes all names of a directory and their subtrees.
    pub(crate) fn clear(&mut self, dir: InodeId) {
        let names = std::mem::take(&mut self.directory_mut(dir).names);
        self.names -= names.len() as u64;
        for old in names.into_values() {
            self.release(dir, old);
        }
    }

    /// Handles the loss of `id`'s name in `dir`.
    fn release(&mut self, dir: InodeId, id: InodeId) {
        if !self.is_directory(id) {
            return self.unlink(id);
        }
        self.get_mut(dir).links -= 1;
        // Iterative: a hostile tree may be deeper than the stack allows.
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            let Body::Directory(directory) = self.take(id).body else { continue };
            self.names -= directory.names.len() as u64;
            for child in directory.names.into_values() {
                if self.is_directory(child) { doomed.push(child) } else { self.unlink(child) }
            }
        }
    }

    /// Removes one name of an inode that is not a directory.
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

/// Visible names in a directory.
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
