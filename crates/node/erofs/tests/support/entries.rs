//! Constructors of entries.
#![allow(dead_code)] // Each test program uses some of them.

use erofs::{BLOCK_BYTES, Device, Entry, Extent, Kind, Limits, Meta, Tree};

/// Sufficient for every test that is not about limits.
pub const LIMITS: Limits = Limits { entries_max: 1_000_000, xattr_bytes_max: 64 << 20 };

/// Metadata that differ between entries.
pub fn meta(uid: u32) -> Meta {
    Meta { mode: 0o640, uid, gid: uid + 1, mtime_s: i64::from(uid) * 1000 - 500, mtime_ns: 999_999_999, xattrs: vec![] }
}

pub fn entry(path: &str, kind: Kind) -> Entry {
    let uid = path.bytes().fold(7, |sum: u32, byte| sum.wrapping_mul(31) % 60_000 + u32::from(byte));
    Entry { path: path.as_bytes().to_vec(), kind, meta: meta(uid) }
}

pub fn directory(path: &str) -> Entry {
    entry(path, Kind::Directory)
}

/// A file of `size` bytes at a block of the layer's first device.
pub fn file(path: &str, size: u64, block: u64) -> Entry {
    entry(path, Kind::File { size, data: Some(Extent { device: 0, offset: block * BLOCK_BYTES }) })
}

pub fn empty(path: &str) -> Entry {
    entry(path, Kind::File { size: 0, data: None })
}

pub fn symlink(path: &str, target: &str) -> Entry {
    entry(path, Kind::Symlink { target: target.as_bytes().to_vec() })
}

pub fn hard_link(path: &str, target: &str) -> Entry {
    entry(path, Kind::HardLink { target: target.as_bytes().to_vec() })
}

pub fn whiteout(path: &str) -> Entry {
    entry(path, Kind::Whiteout)
}

pub fn opaque(path: &str) -> Entry {
    entry(path, Kind::Opaque)
}

pub fn with_xattrs(mut entry: Entry, xattrs: &[(&str, &[u8])]) -> Entry {
    entry.meta.xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    entry
}

/// A tree of layers with one device each, at the layer's own index.
pub fn tree(layers: impl IntoIterator<Item = Vec<Entry>>) -> Tree {
    let mut tree = Tree::new(LIMITS);
    for (n, layer) in layers.into_iter().enumerate() {
        tree.apply(layer, &[u16::try_from(n).expect("few layers")]).expect("sound layers");
    }
    tree
}

/// Devices of `blocks` blocks each.
pub fn devices(count: usize, blocks: u64) -> Vec<Device> {
    (0..count).map(|n| Device { tag: format!("layer-{n}"), bytes: blocks * BLOCK_BYTES }).collect()
}
