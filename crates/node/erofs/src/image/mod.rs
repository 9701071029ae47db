//! Writes a tree as an image: first every inode gets its place, then everything is written.

mod checksum;
mod directory;
mod format;
mod plan;

use crate::BLOCK_BYTES;
use crate::entry::{Device, Extent, Kind};
use crate::error::Error;
use crate::tree::{InodeId, ROOT, Tree};
use crate::xattr;

use self::format::{CHUNK_BYTES, CHUNK_INDEX_ALIGN, INODE_BYTES, SUPERBLOCK_AT, TABLE_AT};
use self::plan::{Content, Place, Plan};

/// The image of a tree, to be mounted with `devices` in this order. The same tree and devices give
/// the same bytes.
///
/// # Errors
/// The path of an entry that the format cannot hold, and why.
pub fn write(tree: &Tree, devices: &[Device]) -> Result<Vec<u8>, Error> {
    let plan = Plan::new(tree, devices)?;
    let mut writer = Writer { tree, plan: &plan, image: vec![0; plan.image_bytes()?] };
    for (ino, place) in plan.places().iter().enumerate() {
        writer.inode(ino, place);
    }
    for (slot, device) in devices.iter().enumerate() {
        let at = TABLE_AT + slot * format::SLOT_BYTES;
        writer.put(at, &format::device_slot(device.tag.as_bytes(), plan.device_blocks()[slot]));
    }
    writer.superblock(devices.len());
    Ok(writer.image)
}

struct Writer<'a> {
    tree: &'a Tree,
    plan: &'a Plan,
    image: Vec<u8>,
}

impl Writer<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn superblock(&mut self, devices: usize) {
        let root_nid = u16::try_from(self.plan.nid(ROOT)).expect("the root comes first");
        let inodes = self.plan.places().len() as u64;
        let blocks = u32::try_from(self.image.len() as u64 / BLOCK_BYTES).expect("the plan checked the size");
        let devices = u16::try_from(devices).expect("the plan checked the number of devices");
        self.put(SUPERBLOCK_AT, &format::superblock(root_nid, inodes, blocks, devices));
        let covered = &self.image[SUPERBLOCK_AT..SUPERBLOCK_AT + format::CHECKSUM_COVERS_BYTES];
        let checksum = checksum::crc32c(covered);
        self.put(SUPERBLOCK_AT + format::CHECKSUM_AT, &checksum.to_le_bytes());
    }

    fn inode(&mut self, ino: usize, place: &Place) {
        let inode = self.tree.inodes.get(place.id);
        let xattr_bytes = xattr::area_bytes(&inode.meta);
        let at = place.at();
        let head = format::Inode {
            layout: place.content.layout(),
            xattr_units: xattr::area_units(xattr_bytes),
            kind: inode.kind(),
            meta: &inode.meta,
            size: place.content.size(),
            union: place.content.union(inode.kind()),
            ino: u32::try_from(ino + 1).expect("there are fewer inodes than numbers"),
            links: inode.links,
        };
        self.put(at, &head.bytes());
        let body = at + INODE_BYTES + usize::try_from(xattr_bytes).expect("an accepted area is small");
        xattr::write(&inode.meta, &mut self.image[at + INODE_BYTES..body]);
        match (&place.content, inode.kind()) {
            (Content::Nothing, _) => {}
            (Content::Chunks { size, .. }, Kind::File { data: Some(data), .. }) => self.chunks(body, *size, *data),
            (Content::Inline { .. }, kind) => self.content(body, place.id, kind),
            (Content::Plain { block, .. }, kind) => self.content(offset(*block), place.id, kind),
            (Content::Chunks { .. }, _) => unreachable!("the plan gives chunks to files with data only"),
        }
    }

    fn chunks(&mut self, body: usize, size: u64, data: Extent) {
        let first = data.offset / BLOCK_BYTES;
        let chunk_blocks = 1_u64 << plan::chunk_bits(size);
        let body = body.next_multiple_of(CHUNK_INDEX_ALIGN);
        let count = size.div_ceil(BLOCK_BYTES).div_ceil(chunk_blocks);
        for (n, at) in (0..count).zip((body..).step_by(CHUNK_BYTES)) {
            let block = u32::try_from(first + n * chunk_blocks).expect("the plan checked the end of the file");
            self.put(at, &format::chunk(data.device + 1, block));
        }
    }

    fn content(&mut self, at: usize, id: InodeId, kind: &Kind) {
        match kind {
            Kind::Symlink { target } => self.put(at, target),
            _ => directory::write(self.tree, |inode| self.plan.nid(inode), id, &mut self.image[at..]),
        }
    }
}

/// Byte at which a block of the image starts.
fn offset(block: u32) -> usize {
    block as usize * BLOCK_BYTES as usize
}
