//! Visits a tree, name by name.

use super::Tree;
use super::inodes::{InodeId, ROOT};
use crate::entry::{Kind, Meta};

/// One name of the tree, as passed by [`Tree::walk`].
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Path below the root, formed as [`Entry::path`](crate::Entry::path); empty for the root.
    pub path: &'a [u8],
    /// The inode's number; names with the same number are links to each other.
    pub inode: u64,
    /// Number of the inode's names (2 + subdirectories for a directory).
    pub links: u32,
    /// Its kind: never a hard link, whiteout or opaque mark, nor a character device of numbers 0
    /// and 0; `Extent::device` is the index in the image's device table, from 0.
    pub kind: &'a Kind,
    /// Its metadata; attributes are sorted by name, and names are unique.
    pub meta: &'a Meta,
}

impl Tree {
    /// Visits every name, directories before their entries, names of a directory in bytewise order.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn walk<E>(&self, mut visit: impl FnMut(Visit<'_>) -> Result<(), E>) -> Result<(), E> {
        self.walk_inodes(|_, shown| visit(shown))
    }

    /// As [`Tree::walk`], with this crate's inode number.
    pub(crate) fn walk_inodes<E>(&self, mut visit: impl FnMut(InodeId, Visit<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut path = Vec::new();
        visit(ROOT, self.visit(ROOT, &path))?;
        let mut open = Vec::from_iter(self.inodes.names(ROOT).map(|names| (0, names)));
        while let Some((path_len, names)) = open.last_mut() {
            path.truncate(*path_len);
            let Some((name, id)) = names.next() else {
                open.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            visit(id, self.visit(id, &path))?;
            if let Some(names) = self.inodes.names(id) {
                open.push((path.len(), names));
            }
        }
        Ok(())
    }

    fn visit<'a>(&'a self, id: InodeId, path: &'a [u8]) -> Visit<'a> {
        let inode = self.inodes.get(id);
        Visit { path, inode: id.number(), links: inode.links, kind: inode.kind(), meta: &inode.meta }
    }
}
