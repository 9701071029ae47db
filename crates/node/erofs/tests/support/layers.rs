//! Generates layers from bytes, for fuzzing and property tests. Any bytes give some layers; most of
//! them are valid.

use erofs::{BLOCK_BYTES, Entry, Extent, Kind, Meta};

/// Blocks of every device. Some files exceed them.
pub const DEVICE_BLOCKS: u64 = 64;
/// Devices of every layer. Some files use one more.
pub const DEVICES_PER_LAYER: u16 = 2;

const NAMES: [&[u8]; 8] = [b"a", b"b", b"c", b"!", b".a", b"..", b"\xff", &[b'n'; 255]];
const TARGETS: [&[u8]; 12] =
    [b"a", b"../b", b"/c", b"b/c", b"..", b".", b"/", b"a/../../b//", b"/a/x/../c", b"x/y", &[b't'; 500], b""];
const XATTRS: [&[u8]; 8] = [
    b"user.a",
    b"user.overlay.opaque",
    b"trusted.overlay.whiteout",
    b"trusted.a",
    b"security.capability",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
    b"other.a",
];

/// Bytes that are consumed from the front, followed by zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Mostly from the first of `choices`, so that paths collide.
    fn of<'c>(&mut self, choices: &[&'c [u8]]) -> &'c [u8] {
        let byte = usize::from(self.next());
        let range = if byte < 200 { choices.len().min(3) } else { choices.len() };
        choices[byte % range]
    }

    fn path(&mut self) -> Vec<u8> {
        let depth = usize::from(self.next() % 4);
        let names: Vec<_> = (0..depth).map(|_| self.of(&NAMES)).collect();
        names.join(&b'/')
    }

    fn meta(&mut self) -> Meta {
        let seed = u32::from(self.next());
        let xattrs = (0..seed % 4).map(|_| (self.of_all(&XATTRS).to_vec(), vec![b'v'; usize::from(self.next()) * 5]));
        Meta {
            mode: (seed * 37 % 0o10000) as u16,
            uid: seed * 1_000_003,
            gid: seed,
            mtime_s: i64::from(seed) - 100,
            mtime_ns: seed,
            xattrs: xattrs.collect(),
        }
    }

    fn of_all<'c>(&mut self, choices: &[&'c [u8]]) -> &'c [u8] {
        choices[usize::from(self.next()) % choices.len()]
    }

    fn kind(&mut self) -> Kind {
        match self.next() % 16 {
            0..=3 => Kind::Directory,
            4 | 5 => self.file(),
            6..=8 => Kind::Symlink { target: self.of_all(&TARGETS).to_vec() },
            9 | 10 => Kind::HardLink { target: self.path() },
            11 => Kind::CharDevice { major: u32::from(self.next() % 2), minor: u32::from(self.next() % 2) * 0x12345 },
            12 => Kind::BlockDevice { major: u32::from(self.next()) * 17, minor: 0xfedcb },
            13 => [Kind::Fifo, Kind::Socket][usize::from(self.next() % 2)].clone(),
            14 => Kind::Whiteout,
            _ => Kind::Opaque,
        }
    }

    fn file(&mut self) -> Kind {
        let size = u64::from(self.next()) * 70;
        let device = u16::from(self.next()) * (DEVICES_PER_LAYER + 1) / 300;
        let offset = u64::from(self.next()) % (DEVICE_BLOCKS / 2) * BLOCK_BYTES;
        Kind::File { size, data: Some(Extent { device, offset }) }
    }
}

/// Up to four layers of up to twelve entries.
pub fn layers(bytes: &[u8]) -> Vec<Vec<Entry>> {
    let mut bytes = Bytes(bytes);
    let mut layers = Vec::new();
    while !bytes.0.is_empty() && layers.len() < 4 {
        let entries = bytes.next() % 12 + 1;
        let entry = |_| Entry { kind: bytes.kind(), path: bytes.path(), meta: bytes.meta() };
        layers.push((0..entries).map(entry).collect());
    }
    layers
}

/// Indexes of a layer's devices in the image's device table.
pub fn places(layer: usize) -> Vec<u16> {
    let layer = u16::try_from(layer).expect("few layers");
    (0..DEVICES_PER_LAYER).map(|n| layer * DEVICES_PER_LAYER + n).collect()
}
