//! A minimal reader of EROFS images, with the kernel's names, to check the writer's output. It
//! panics at anything that the writer never produces. Must not share code with the writer.

use std::collections::HashSet;

const BLOCK: usize = 512;

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub nid: u64,
    /// Including the type.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime_s: i64,
    pub mtime_ns: u32,
    pub links: u32,
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// 0 plain, 2 inline, 4 chunk-based.
    pub layout: u16,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Names but `.` and `..`, in order.
    Directory(Vec<(Vec<u8>, u64)>),
    Symlink(Vec<u8>),
    /// First block of each chunk, its device from 1, and the blocks of a chunk as a power of two.
    File {
        chunks: Vec<(u16, u32)>,
        chunk_bits: u32,
    },
    Device(u32),
    Other,
}

/// An image.
pub struct Image<'a> {
    bytes: &'a [u8],
    pub root: u64,
    pub inodes: u64,
    /// Tag, without zeros, and blocks.
    pub devices: Vec<(Vec<u8>, u32)>,
}

impl<'a> Image<'a> {
    pub fn open(bytes: &'a [u8]) -> Self {
        let sb = &bytes[1024..1152];
        assert_eq!(u32_at(sb, 0), 0xe0f5_e1e2, "magic");
        assert_eq!(u32_at(sb, 8), 3, "feature_compat: checksum, mtime");
        assert_eq!((sb[12], sb[13]), (9, 0), "blkszbits, sb_extslots");
        assert_eq!(u32_at(sb, 36) as usize * BLOCK, bytes.len(), "blocks");
        assert_eq!(u32_at(sb, 40), 0, "meta_blkaddr");
        assert_eq!(u32_at(sb, 4), checksum(&bytes[1024..1536]), "checksum");
        let count = usize::from(u16_at(sb, 86));
        assert_eq!(u32_at(sb, 80), if count == 0 { 4 } else { 12 }, "feature_incompat");
        let first = usize::from(u16_at(sb, 88)) * 128;
        let devices = (0..count).map(|n| {
            let slot = &bytes[first + n * 128..][..128];
            let tag_len = slot[..64].iter().position(|b| *b == 0).unwrap_or(64);
            (slot[..tag_len].to_vec(), u32_at(slot, 64))
        });
        Self { bytes, root: u16_at(sb, 14).into(), inodes: u64_at(sb, 16), devices: devices.collect() }
    }

    /// Visits every name as `Tree::walk` does. Checks `.` and `..` as well.
    pub fn walk(&self, mut visit: impl FnMut(&[u8], &Node)) {
        let mut path = Vec::new();
        let root = self.node(self.root, self.root);
        visit(&path, &root);
        let mut open = vec![(0, self.root, children(root).into_iter())];
        let mut seen = HashSet::from([self.root]);
        while let Some((path_len, parent, names)) = open.last_mut() {
            path.truncate(*path_len);
            let parent = *parent;
            let Some((name, nid)) = names.next() else {
                open.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            let node = self.node(nid, parent);
            visit(&path, &node);
            let new = seen.insert(nid);
            if matches!(node.content, Content::Directory(_)) {
                assert!(new, "a directory has two names");
                open.push((path.len(), nid, children(node).into_iter()));
            }
        }
        assert_eq!(seen.len() as u64, self.inodes, "inos");
    }

    /// An inode; `parent` is what `..` must be if it is a directory.
    pub fn node(&self, nid: u64, parent: u64) -> Node {
        let at = usize::try_from(nid).unwrap() * 32;
        let die = &self.bytes[at..at + 64];
        assert_eq!(at / BLOCK, (at + 63) / BLOCK, "the inode crosses a block");
        let format = u16_at(die, 0);
        assert_eq!(format & 1, 1, "extended");
        let icount = usize::from(u16_at(die, 2));
        let xattr_bytes = if icount == 0 { 0 } else { 12 + (icount - 1) * 4 };
        let mode = u16_at(die, 4);
        let (size, union) = (u64_at(die, 8), u32_at(die, 16));
        let body = at + 64 + xattr_bytes;
        let data = || self.data(at, body, format >> 1, usize::try_from(size).unwrap(), union);
        let content = match mode & 0o170_000 {
            0o040_000 => Content::Directory(self.directory(&data(), nid, parent)),
            0o120_000 => Content::Symlink(data()),
            0o100_000 if size == 0 => Content::File { chunks: Vec::new(), chunk_bits: 0 },
            0o100_000 => {
                assert_eq!(format >> 1, 4, "chunk-based");
                self.chunks(body, size, union)
            }
            0o020_000 | 0o060_000 => Content::Device(union),
            0o010_000 | 0o140_000 => Content::Other,
            other => panic!("type {other:o}"),
        };
        Node {
            nid,
            mode,
            uid: u32_at(die, 24),
            gid: u32_at(die, 28),
            mtime_s: u64_at(die, 32) as i64,
            mtime_ns: u32_at(die, 40),
            links: u32_at(die, 44),
            size,
            xattrs: xattrs(&self.bytes[at + 64..body]),
            layout: format >> 1,
            content,
        }
    }

    fn data(&self, inode: usize, body: usize, layout: u16, size: usize, union: u32) -> Vec<u8> {
        let start = match layout {
            0 => union as usize * BLOCK,
            2 => {
                assert_eq!(inode / BLOCK, (body + size - 1) / BLOCK, "inline content leaves the inode's block");
                body
            }
            other => panic!("layout {other}"),
        };
        self.bytes[start..start + size].to_vec()
    }

    fn chunks(&self, body: usize, size: u64, union: u32) -> Content {
        assert_eq!(union & !0x1f, 0x20, "chunk format: indexes");
        let chunk_bits = union & 0x1f;
        let count = size.div_ceil((BLOCK as u64) << chunk_bits);
        let index = (0..count).map(|n| {
            let entry = &self.bytes[body.next_multiple_of(8) + usize::try_from(n).unwrap() * 8..][..8];
            assert_eq!(u16_at(entry, 0), 0, "high bits of the block");
            (u16_at(entry, 2), u32_at(entry, 4))
        });
        Content::File { chunks: index.collect(), chunk_bits }
    }

    fn directory(&self, data: &[u8], nid: u64, parent: u64) -> Vec<(Vec<u8>, u64)> {
        let mut names: Vec<(Vec<u8>, u64)> = Vec::new();
        for block in data.chunks(BLOCK) {
            let count = usize::from(u16_at(block, 8)) / 12;
            for n in 0..count {
                let start = usize::from(u16_at(block, n * 12 + 8));
                let end = if n + 1 < count {
                    usize::from(u16_at(block, n * 12 + 20))
                } else {
                    block[start..].iter().position(|b| *b == 0).map_or(block.len(), |len| start + len)
                };
                let (name, child) = (block[start..end].to_vec(), u64_at(block, n * 12));
                assert_eq!(block[n * 12 + 10], self.file_type(child), "file type of {name:?}");
                assert!(names.last().is_none_or(|(last, _)| *last < name), "names are sorted");
                names.push((name, child));
            }
        }
        let mut special = |name: &[u8]| {
            let at = names.iter().position(|(found, _)| found == name).expect("`.` and `..` are there");
            names.remove(at).1
        };
        assert_eq!((special(b"."), special(b"..")), (nid, parent), "`.` and `..`");
        names
    }

    fn file_type(&self, nid: u64) -> u8 {
        let mode = u16_at(self.bytes, usize::try_from(nid).unwrap() * 32 + 4);
        [0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6][usize::from(mode >> 12)]
    }
}

fn children(node: Node) -> Vec<(Vec<u8>, u64)> {
    match node.content {
        Content::Directory(names) => names,
        _ => panic!("no directory"),
    }
}

fn xattrs(area: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Some(mut rest) = area.get(12..) else { return Vec::new() };
    assert!(area[..12].iter().all(|b| *b == 0), "nothing is shared");
    assert!(!rest.is_empty(), "an area without attributes");
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name_len, value_len) = (usize::from(rest[0]), usize::from(u16_at(rest, 2)));
        let prefix: &[u8] = match rest[1] {
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            6 => b"security.",
            other => panic!("name space {other}"),
        };
        let name = [prefix, &rest[4..4 + name_len]].concat();
        found.push((name, rest[4 + name_len..4 + name_len + value_len].to_vec()));
        rest = &rest[(4 + name_len + value_len).next_multiple_of(4)..];
    }
    found
}

/// `erofs_superblock_csum_verify`, by division of the whole as one number.
fn checksum(block: &[u8]) -> u32 {
    let mut block = block.to_vec();
    block[4..8].fill(0);
    let mut remainder: u32 = !0;
    for bit in block.iter().flat_map(|byte| (0..8).map(move |n| u32::from(byte >> n & 1))) {
        let odd = (remainder ^ bit) & 1 == 1;
        remainder >>= 1;
        if odd {
            remainder ^= 0x82f6_3b78;
        }
    }
    remainder
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
