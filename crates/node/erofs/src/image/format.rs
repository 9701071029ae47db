//! The records of the format, field by field.
//!
//! Source of offsets and values: `fs/erofs/erofs_fs.h` of Linux.

use crate::entry::{Kind, Meta};

pub(super) const SUPERBLOCK_AT: usize = 1024;
pub(super) const SUPERBLOCK_BYTES: usize = 128;
/// Offset of the checksum in the superblock.
pub(super) const CHECKSUM_AT: usize = 4;
/// The checksum covers the block that begins with the superblock, with its own bytes as zeros.
pub(super) const CHECKSUM_COVERS_BYTES: usize = 512;
pub(super) const SLOT_BYTES: usize = 128;
pub(super) const TAG_BYTES_MAX: usize = 64;
/// Directly after the superblock; the superblock stores it in units of a slot.
pub(super) const TABLE_AT: usize = SUPERBLOCK_AT + SUPERBLOCK_BYTES;
pub(super) const INODE_BYTES: usize = 64;
/// Inodes start at multiples of this; an inode's number is its position divided by it.
pub(super) const NID_BYTES: usize = 32;
pub(super) const CHUNK_BYTES: usize = 8;
pub(super) const CHUNK_INDEX_ALIGN: usize = 8;
/// The number of blocks in a chunk is two to the power of at most this.
pub(super) const CHUNK_BITS_MAX: u32 = 31;
pub(super) const DIRENT_BYTES: usize = 12;

const MAGIC: u32 = 0xe0f5_e1e2;
const BLOCK_BITS: u8 = 9;
const FEATURE_CHECKSUM: u32 = 1;
const FEATURE_MTIME: u32 = 2;
const NEEDS_CHUNKS: u32 = 4;
const NEEDS_DEVICES: u32 = 8;
const EXTENDED_INODE: u16 = 1;
const CHUNK_INDEXES: u32 = 0x20;

/// Storage of an inode's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In blocks of its own.
    Plain = 0,
    /// Directly after the inode.
    Inline = 2,
    /// In a device, by an index after the inode.
    Chunks = 4,
}

/// A record that is filled by offset.
struct Record<const N: usize>([u8; N]);

impl<const N: usize> Record<N> {
    fn new() -> Self {
        Self([0; N])
    }

    fn with<const M: usize>(mut self, at: usize, field: [u8; M]) -> Self {
        self.0[at..at + M].copy_from_slice(&field);
        self
    }
}

/// The superblock, with a checksum of zero. It contains no time and no UUID, so that equal trees
/// give equal images.
pub(super) fn superblock(root_nid: u16, inodes: u64, blocks: u32, devices: u16) -> [u8; SUPERBLOCK_BYTES] {
    let needs = if devices == 0 { NEEDS_CHUNKS } else { NEEDS_CHUNKS | NEEDS_DEVICES };
    let table = u16::try_from(TABLE_AT / SLOT_BYTES).expect("a small constant");
    Record::new()
        .with(0, MAGIC.to_le_bytes())
        .with(8, (FEATURE_CHECKSUM | FEATURE_MTIME).to_le_bytes())
        .with(12, [BLOCK_BITS])
        .with(14, root_nid.to_le_bytes())
        .with(16, inodes.to_le_bytes())
        .with(36, blocks.to_le_bytes())
        .with(80, needs.to_le_bytes())
        .with(86, devices.to_le_bytes())
        .with(88, table.to_le_bytes())
        .0
}

/// An entry of the device table. `tag` has at most [`TAG_BYTES_MAX`] bytes.
pub(super) fn device_slot(tag: &[u8], blocks: u32) -> [u8; SLOT_BYTES] {
    let mut slot = Record::new().with(TAG_BYTES_MAX, blocks.to_le_bytes()).0;
    slot[..tag.len()].copy_from_slice(tag);
    slot
}

/// An extended inode.
pub(super) struct Inode<'a> {
    pub layout: Layout,
    pub xattr_units: u16,
    pub kind: &'a Kind,
    pub meta: &'a Meta,
    pub size: u64,
    /// The field whose meaning depends on layout and kind.
    pub union: u32,
    /// Inode number for 32-bit programs.
    pub ino: u32,
    pub links: u32,
}

impl Inode<'_> {
    pub(super) fn bytes(&self) -> [u8; INODE_BYTES] {
        Record::new()
            .with(0, (EXTENDED_INODE | (self.layout as u16) << 1).to_le_bytes())
            .with(2, self.xattr_units.to_le_bytes())
            .with(4, (type_bits(self.kind) | self.meta.mode).to_le_bytes())
            .with(8, self.size.to_le_bytes())
            .with(16, self.union.to_le_bytes())
            .with(20, self.ino.to_le_bytes())
            .with(24, self.meta.uid.to_le_bytes())
            .with(28, self.meta.gid.to_le_bytes())
            .with(32, self.meta.mtime_s.to_le_bytes())
            .with(40, self.meta.mtime_ns.to_le_bytes())
            .with(44, self.links.to_le_bytes())
            .0
    }
}

/// The chunk format in a file's inode.
pub(super) fn chunk_format(bits: u32) -> u32 {
    bits | CHUNK_INDEXES
}

/// A device number in Linux's encoding (`new_encode_dev`).
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

/// One entry of a file's index. `device` counts from 1; 0 would be the image itself.
pub(super) fn chunk(device: u16, block: u32) -> [u8; CHUNK_BYTES] {
    Record::new().with(2, device.to_le_bytes()).with(4, block.to_le_bytes()).0
}

/// One entry of a directory's block.
pub(super) fn dirent(nid: u64, name_at: u16, kind: &Kind) -> [u8; DIRENT_BYTES] {
    Record::new().with(0, nid.to_le_bytes()).with(8, name_at.to_le_bytes()).with(10, [file_type(kind)]).0
}

/// `S_IFMT` bits.
fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice { .. } => 0o020_000,
        Kind::Directory => 0o040_000,
        Kind::BlockDevice { .. } => 0o060_000,
        Kind::File { .. } => 0o100_000,
        Kind::Symlink { .. } => 0o120_000,
        Kind::Socket => 0o140_000,
        Kind::HardLink { .. } | Kind::Whiteout | Kind::Opaque => unreachable!("a tree has none of these"),
    }
}

/// `FT_*` of a directory's entry.
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => 1,
        Kind::Directory => 2,
        Kind::CharDevice { .. } => 3,
        Kind::BlockDevice { .. } => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink { .. } => 7,
        Kind::HardLink { .. } | Kind::Whiteout | Kind::Opaque => unreachable!("a tree has none of these"),
    }
}
