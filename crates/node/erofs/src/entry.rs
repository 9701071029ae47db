//! Entries of a layer, and their metadata.

use serde::{Deserialize, Serialize};

/// One entry of a layer, in the order of its archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the root: components joined by `/`, none of them empty, `.` or `..`; empty for
    /// the root. For whiteouts the path that is hidden, for opaque marks the directory.
    pub path: Vec<u8>,
    /// Its kind.
    pub kind: Kind,
    /// Owner, mode, time, attributes; unused for hard links, whiteouts and opaque marks.
    pub meta: Meta,
}

/// Kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A file of `size` bytes, which are contiguous at `data`; `None` for an empty file.
    File {
        /// Bytes.
        size: u64,
        /// Place of the bytes.
        data: Option<Extent>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its target; any bytes but NUL, not empty, at most 4095.
        target: Vec<u8>,
    },
    /// Another name of an entry of this layer or of one below.
    HardLink {
        /// Its path, formed as [`Entry::path`].
        target: Vec<u8>,
    },
    /// A character device. The one of numbers 0 and 0 is overlayfs's whiteout: it hides its name,
    /// see [`Tree::apply`].
    ///
    /// [`Tree::apply`]: crate::Tree::apply
    CharDevice {
        /// Major number, at most 4095.
        major: u32,
        /// Minor number, at most 1048575.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number, at most 4095.
        major: u32,
        /// Minor number, at most 1048575.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// The path is hidden in lower layers.
    Whiteout,
    /// The content of the directory is hidden in lower layers.
    Opaque,
}

/// Place of the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Index among the layer's own devices, from 0.
    pub device: u16,
    /// First byte, a multiple of [`BLOCK_BYTES`](crate::BLOCK_BYTES).
    pub offset: u64,
}

/// Metadata of every inode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Permissions, set-id and sticky bits: the low twelve.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime_s: i64,
    /// Nanoseconds beyond that, below a billion.
    pub mtime_ns: u32,
    /// Names, including their namespace, and values of extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One device of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in the device table, at most 64 bytes.
    pub tag: String,
    /// Its size; an incomplete last block counts.
    pub bytes: u64,
}
