//! The layers of an image as one EROFS image that holds metadata only; the data of its files stay
//! where they are, in the layers' tar files, which are its extra devices.
//!
//! Owns the merging of layers ([`Tree`]) and the on-disk format ([`write()`]).
//!
//! # On disk
//!
//! Blocks, of files and of directories, have 512 bytes, as a tar's. All numbers are little-endian.
//! An inode's number (nid) is its position divided by 32.
//!
//! ```text
//!    0  nothing
//! 1024  superblock                      128 bytes; the checksum covers 512 bytes from here
//! 1152  device table                    128 bytes for each device
//!       inodes, the root first          64 bytes each, followed by
//!           extended attributes         12 bytes and the attributes, if it has any; may cross blocks
//!           file:                       index of chunks, 8 bytes each: device and first block
//!           directory, symbolic link:   the whole content, if it then fits into one block with the inode (inline)
//!       other directories and links     each from the start of a block (plain)
//!       zeros up to a page
//! ```
//!
//! Sources: `fs/erofs/erofs_fs.h` of Linux, and its Documentation/filesystems/erofs.rst.
#![forbid(unsafe_code)]

mod accept;
mod entry;
mod error;
mod image;
mod path;
mod tree;
mod xattr;

pub use entry::{Device, Entry, Extent, Kind, Meta};
pub use error::{Error, shown as shown_path};
pub use image::write;
pub use tree::{LINK_HOPS_MAX, LINK_STEPS_MAX, Limits, Tree, Visit};

/// Unit in which data lies in devices: one block of the file system, and of a tar.
pub const BLOCK_BYTES: u64 = 512;
