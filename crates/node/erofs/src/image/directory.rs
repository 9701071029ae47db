//! Directories as blocks of 512 bytes: in each the entries, then their names, both sorted.

use super::format::{self, DIRENT_BYTES};
use crate::BLOCK_BYTES;
use crate::tree::{InodeId, Tree};

const BLOCK: usize = BLOCK_BYTES as usize;

/// Bytes of a directory: whole blocks but the last.
pub(super) fn bytes(tree: &Tree, id: InodeId) -> u64 {
    let (mut blocks, mut used) = (0, 0);
    for (name, _) in entries(tree, id) {
        if !fits(used, name) {
            blocks += 1;
            used = 0;
        }
        used += entry_bytes(name);
    }
    blocks * BLOCK_BYTES + used as u64
}

/// Writes a directory to the start of `out`, which is zero; `nid` numbers the inodes.
pub(super) fn write(tree: &Tree, nid: impl Fn(InodeId) -> u64, id: InodeId, out: &mut [u8]) {
    let mut block: Vec<(&[u8], InodeId)> = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (name, child) in entries(tree, id) {
        if !fits(used, name) {
            write_block(tree, &nid, &block, &mut out[start..]);
            block.clear();
            start += BLOCK;
            used = 0;
        }
        used += entry_bytes(name);
        block.push((name, child));
    }
    write_block(tree, &nid, &block, &mut out[start..]);
}

fn write_block(tree: &Tree, nid: &impl Fn(InodeId) -> u64, entries: &[(&[u8], InodeId)], out: &mut [u8]) {
    let mut name_at = entries.len() * DIRENT_BYTES;
    for (entry, (name, child)) in (0..).step_by(DIRENT_BYTES).zip(entries) {
        let short = u16::try_from(name_at).expect("a block is small");
        let kind = tree.inodes.get(*child).kind();
        out[entry..entry + DIRENT_BYTES].copy_from_slice(&format::dirent(nid(*child), short, kind));
        out[name_at..name_at + name.len()].copy_from_slice(name);
        name_at += name.len();
    }
}

fn entry_bytes(name: &[u8]) -> usize {
    DIRENT_BYTES + name.len()
}

/// Whether a block with `used` bytes in use has room for one more name. Every name fits into an
/// empty one.
fn fits(used: usize, name: &[u8]) -> bool {
    used + entry_bytes(name) <= BLOCK
}

/// All names in bytewise order; `.` and `..` are not always the first.
fn entries(tree: &Tree, id: InodeId) -> impl Iterator<Item = (&[u8], InodeId)> {
    let parent = tree.inodes.parent(id).unwrap_or(id);
    let mut dots = [(&b"."[..], id), (&b".."[..], parent)].into_iter().peekable();
    let mut names = tree.inodes.names(id).into_iter().flatten().peekable();
    std::iter::from_fn(move || match (dots.peek(), names.peek()) {
        (Some((dot, _)), Some((name, _))) if name < dot => names.next(),
        (Some(_), _) => dots.next(),
        (None, _) => names.next(),
    })
}
