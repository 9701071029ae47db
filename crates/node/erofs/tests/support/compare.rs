//! Compares an image with its tree, name by name.

use std::collections::HashMap;

use erofs::{BLOCK_BYTES, Device, Kind, Tree, Visit};

use super::reader::{Content, Image, Node};

/// A name of an image.
type Seen = (Vec<u8>, Node);

/// Panics unless `image` has exactly the names of `tree`.
pub fn compare(tree: &Tree, devices: &[Device], image: &[u8]) {
    let image = Image::open(image);
    let table = devices.iter().map(|device| {
        let blocks = u32::try_from(device.bytes.div_ceil(BLOCK_BYTES)).unwrap();
        (device.tag.as_bytes().to_vec(), blocks)
    });
    assert_eq!(image.devices, table.collect::<Vec<_>>());
    let mut seen: Vec<Seen> = Vec::new();
    image.walk(|path, node| seen.push((path.to_vec(), node.clone())));
    let mut seen = seen.into_iter();
    let mut nids = HashMap::new();
    let walked: Result<(), ()> = tree.walk(|visit| {
        let (path, node) = seen.next().expect("the image lacks names");
        assert_eq!(path, visit.path);
        compare_node(&visit, &node);
        assert_eq!(*nids.entry(visit.inode).or_insert(node.nid), node.nid, "links share an inode");
        Ok(())
    });
    walked.unwrap();
    assert_eq!(seen.next(), None, "the image has more names");
    let mut distinct: Vec<_> = nids.values().collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), nids.len(), "different inodes share a place");
}

fn compare_node(visit: &Visit<'_>, node: &Node) {
    let meta = visit.meta;
    let told = (node.mode & 0o7777, node.uid, node.gid, node.mtime_s, node.mtime_ns, node.links);
    assert_eq!(told, (meta.mode, meta.uid, meta.gid, meta.mtime_s, meta.mtime_ns, visit.links));
    assert_eq!(node.xattrs, meta.xattrs);
    let kind = node.mode & 0o170_000;
    let encoded = |major: u32, minor: u32| Content::Device(minor & 0xff | major << 8 | (minor & !0xff) << 12);
    let (expected_kind, expected) = match visit.kind {
        Kind::Directory => (0o040_000, node.content.clone()),
        Kind::Symlink { target } => (0o120_000, Content::Symlink(target.clone())),
        Kind::CharDevice { major, minor } => (0o020_000, encoded(*major, *minor)),
        Kind::BlockDevice { major, minor } => (0o060_000, encoded(*major, *minor)),
        Kind::Fifo => (0o010_000, Content::Other),
        Kind::Socket => (0o140_000, Content::Other),
        Kind::File { size, data } => {
            assert_eq!(node.size, *size);
            let Content::File { chunk_bits, .. } = node.content else { panic!("no file") };
            let chunks = (0..size.div_ceil(BLOCK_BYTES << chunk_bits)).map(|n| {
                let data = data.expect("a file with a size has data");
                (data.device + 1, u32::try_from(data.offset / BLOCK_BYTES + (n << chunk_bits)).unwrap())
            });
            (0o100_000, Content::File { chunks: chunks.collect(), chunk_bits })
        }
        other => panic!("{other:?} in a tree"),
    };
    assert_eq!((kind, &node.content), (expected_kind, &expected), "{:?}", visit.path);
}
