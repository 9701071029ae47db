//! Layout of an image: the place of every inode and its content.

use super::directory;
use super::format::{
    self, CHUNK_BITS_MAX, CHUNK_BYTES, CHUNK_INDEX_ALIGN, INODE_BYTES, Layout, NID_BYTES, SLOT_BYTES, TABLE_AT,
    TAG_BYTES_MAX,
};
use crate::BLOCK_BYTES;
use crate::entry::{Device, Extent, Kind};
use crate::error::{Error, shown};
use crate::tree::{InodeId, Tree, Visit};
use crate::xattr;

/// Maximum number of devices: the root's number has sixteen bits and it lies after the device
/// table; 65535 * 32 bytes hold this many slots.
const DEVICES_MAX: usize = 16_000;
/// The image ends at a multiple of this, so that every page of it is complete.
const PAGE_BYTES: u64 = 4096;

/// The place of every inode, in the order of a walk.
pub(super) struct Plan {
    places: Vec<Place>,
    /// By [`InodeId::index`]; 0, the superblock's block, for inodes without a place.
    nids: Vec<u64>,
    device_blocks: Vec<u32>,
    /// Bytes allocated so far.
    end: u64,
}

/// The place of one inode.
pub(super) struct Place {
    pub id: InodeId,
    nid: u64,
    pub content: Content,
}

/// Place of an inode's content.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// No content.
    Nothing,
    /// After the inode.
    Inline { size: u64 },
    /// In blocks of the image, starting with this one.
    Plain { size: u64, block: u32 },
    /// In a device.
    Chunks { size: u64 },
}

impl Content {
    pub(super) fn layout(&self) -> Layout {
        match self {
            Self::Nothing | Self::Plain { .. } => Layout::Plain,
            Self::Inline { .. } => Layout::Inline,
            Self::Chunks { .. } => Layout::Chunks,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Inline { size } | Self::Plain { size, .. } | Self::Chunks { size } => *size,
        }
    }

    /// The inode's field with the place of the content, or the device number.
    pub(super) fn union(&self, kind: &Kind) -> u32 {
        match (self, kind) {
            (Self::Plain { block, .. }, _) => *block,
            (Self::Chunks { size }, _) => format::chunk_format(chunk_bits(*size)),
            (_, Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }) => {
                format::device_number(*major, *minor)
            }
            _ => 0,
        }
    }
}

impl Place {
    /// Offset of the inode in the image.
    pub(super) fn at(&self) -> usize {
        usize::try_from(self.nid).expect("the image fits into memory") * NID_BYTES
    }
}

/// Blocks of a chunk of a file of `size` bytes, as a power of two: one chunk for the whole file if
/// possible.
pub(super) fn chunk_bits(size: u64) -> u32 {
    size.div_ceil(BLOCK_BYTES).next_power_of_two().trailing_zeros().min(CHUNK_BITS_MAX)
}

impl Plan {
    pub(super) fn new(tree: &Tree, devices: &[Device]) -> Result<Self, Error> {
        if devices.len() > DEVICES_MAX {
            return Err(Error::TooManyDevices { count: devices.len(), max: DEVICES_MAX });
        }
        let mut plan = Self {
            places: Vec::with_capacity(tree.inodes.slots()),
            nids: vec![0; tree.inodes.slots()],
            device_blocks: devices.iter().map(device_blocks).collect::<Result<_, _>>()?,
            end: (TABLE_AT + devices.len() * SLOT_BYTES) as u64,
        };
        tree.walk_inodes(|id, visit| plan.place(tree, id, &visit))?;
        plan.place_blocks()?;
        Ok(plan)
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn device_blocks(&self) -> &[u32] {
        &self.device_blocks
    }

    pub(super) fn nid(&self, id: InodeId) -> u64 {
        self.nids[id.index()]
    }

    /// Bytes of the whole image.
    pub(super) fn image_bytes(&self) -> Result<usize, Error> {
        let bytes = self.end.next_multiple_of(PAGE_BYTES);
        usize::try_from(block(bytes).map(|_| bytes)?).map_err(|_| too_large(bytes / BLOCK_BYTES))
    }

    /// Assigns an inode its place at its first name.
    fn place(&mut self, tree: &Tree, id: InodeId, visit: &Visit<'_>) -> Result<(), Error> {
        if self.nids[id.index()] != 0 {
            return Ok(());
        }
        let size = match visit.kind {
            Kind::Directory => directory::bytes(tree, id),
            Kind::Symlink { target } => target.len() as u64,
            Kind::File { size, data } => {
                self.check_extent(visit.path, *size, *data)?;
                *size
            }
            _ => 0,
        };
        let head = INODE_BYTES as u64 + xattr::area_bytes(visit.meta);
        let content = match visit.kind {
            _ if size == 0 => Content::Nothing,
            Kind::File { .. } => Content::Chunks { size },
            _ if head + size <= BLOCK_BYTES => Content::Inline { size },
            _ => Content::Plain { size, block: 0 },
        };
        // The kernel reads inline content from the block that the inode starts in.
        let whole = if let Content::Inline { size } = content { head + size } else { INODE_BYTES as u64 };
        let mut at = self.end.next_multiple_of(NID_BYTES as u64);
        if at % BLOCK_BYTES + whole > BLOCK_BYTES {
            at = at.next_multiple_of(BLOCK_BYTES);
        }
        self.end = at
            + match content {
                Content::Inline { size } => head + size,
                Content::Chunks { size } => head.next_multiple_of(CHUNK_INDEX_ALIGN as u64) + index_bytes(size),
                Content::Nothing | Content::Plain { .. } => head,
            };
        // Keeps later sums far from overflow.
        block(self.end)?;
        let nid = at / NID_BYTES as u64;
        self.nids[id.index()] = nid;
        self.places.push(Place { id, nid, content });
        Ok(())
    }

    /// Places plain content after the inodes.
    fn place_blocks(&mut self) -> Result<(), Error> {
        let mut end = self.end;
        for place in &mut self.places {
            if let Content::Plain { size, block: first } = &mut place.content {
                end = end.next_multiple_of(BLOCK_BYTES);
                *first = block(end)?;
                end += *size;
            }
        }
        self.end = end;
        Ok(())
    }

    fn check_extent(&self, path: &[u8], size: u64, data: Option<Extent>) -> Result<(), Error> {
        let Some(Extent { device, offset }) = data else { return Ok(()) };
        let Some(blocks) = self.device_blocks.get(usize::from(device)) else {
            return Err(Error::UnknownDevice { path: shown(path), device, devices: self.device_blocks.len() });
        };
        let (end, blocks) = (offset / BLOCK_BYTES + size.div_ceil(BLOCK_BYTES), u64::from(*blocks));
        if end > blocks {
            return Err(Error::OutsideDevice { path: shown(path), device, end, blocks });
        }
        Ok(())
    }
}

fn device_blocks(device: &Device) -> Result<u32, Error> {
    let blocks = u32::try_from(device.bytes.div_ceil(BLOCK_BYTES)).ok();
    blocks
        .filter(|_| device.tag.len() <= TAG_BYTES_MAX)
        .ok_or_else(|| Error::Device { tag: shown(device.tag.as_bytes()), bytes: device.bytes })
}

fn index_bytes(size: u64) -> u64 {
    let chunks = size.div_ceil(BLOCK_BYTES).div_ceil(1 << chunk_bits(size));
    chunks * CHUNK_BYTES as u64
}

/// The block that contains a byte, or that starts there.
fn block(byte: u64) -> Result<u32, Error> {
    let block = byte / BLOCK_BYTES;
    // The last number means "no block".
    u32::try_from(block).ok().filter(|block| *block != u32::MAX).ok_or_else(|| too_large(block))
}

fn too_large(blocks: u64) -> Error {
    Error::ImageTooLarge { blocks, max: u64::from(u32::MAX) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chunk_holds_a_file_up_to_a_tebibyte() {
        for (size, bits) in [(1, 0), (512, 0), (513, 1), (1024, 1), (1025, 2), (1 << 40, 31), (i64::MAX as u64, 31)] {
            assert_eq!(chunk_bits(size), bits, "{size}");
        }
        assert_eq!(index_bytes(1 << 40), 8);
        assert_eq!(index_bytes((1 << 40) + 1), 16);
    }

    #[test]
    fn blocks_have_thirty_two_bits_less_the_last() {
        assert_eq!(block(511), Ok(0));
        assert_eq!(block((u64::from(u32::MAX) - 1) * BLOCK_BYTES), Ok(u32::MAX - 1));
        assert!(block(u64::from(u32::MAX) * BLOCK_BYTES).is_err());
    }

    #[test]
    fn devices_that_the_table_cannot_describe_are_refused() {
        let device = |tag: &str, bytes| device_blocks(&Device { tag: tag.to_owned(), bytes });
        assert_eq!(device(&"x".repeat(64), 513), Ok(2));
        assert!(device(&"x".repeat(65), 513).is_err());
        assert!(device("x", u64::from(u32::MAX) * BLOCK_BYTES).is_ok());
        assert!(device("x", u64::from(u32::MAX) * BLOCK_BYTES + 1).is_err());
    }
}
