//! Errors of layers and images.

/// An error of a layer or an image. Paths are shown as text, shortened, with invalid UTF-8
/// replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An entry is malformed.
    #[error("entry {path:?} {reason}")]
    Entry {
        /// The entry.
        path: String,
        /// The problem.
        reason: &'static str,
    },
    /// A path follows too many symbolic links, or a loop.
    #[error("the way to {path:?} leads over more than {max} symbolic links")]
    LinkHops {
        /// The entry.
        path: String,
        /// [`LINK_HOPS_MAX`](crate::LINK_HOPS_MAX).
        max: u32,
    },
    /// Following symbolic links takes too long, over all entries.
    #[error(
        "the way to {path:?} and the ways to entries before it lead over more than {max} directories of symbolic links"
    )]
    LinkSteps {
        /// The entry at which the limit was exceeded.
        path: String,
        /// [`LINK_STEPS_MAX`](crate::LINK_STEPS_MAX).
        max: u64,
    },
    /// The parent of an entry is not a directory.
    #[error("entry {path:?} lies below {parent:?}, which is not a directory")]
    ParentNotDirectory {
        /// The entry.
        path: String,
        /// The leading part of its path that is not a directory.
        parent: String,
    },
    /// A hard link whose target does not exist.
    #[error("entry {path:?} is a hard link to {target:?}, which does not exist")]
    HardLinkToNothing {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A hard link to a directory.
    #[error("entry {path:?} is a hard link to {target:?}, which is a directory")]
    HardLinkToDirectory {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A device number beyond Linux's range.
    #[error("entry {path:?} is device {major}:{minor}; numbers go up to 4095:1048575")]
    DeviceNumber {
        /// The entry.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// The value of one extended attribute is too long.
    #[error("entry {path:?} has attribute {name:?} of {bytes} bytes; {max} is the most")]
    XattrTooLarge {
        /// The entry.
        path: String,
        /// The attribute.
        name: String,
        /// Bytes of its value.
        bytes: usize,
        /// Maximum of EROFS.
        max: usize,
    },
    /// All extended attributes of one entry together are too long.
    #[error("entry {path:?} has extended attributes of {bytes} bytes; {max} is the most")]
    XattrsTooLarge {
        /// The entry.
        path: String,
        /// Bytes of the attributes in an image.
        bytes: u64,
        /// Maximum of EROFS.
        max: u64,
    },
    /// A configurable limit was exceeded.
    #[error("with entry {path:?} the image has more {what} than {limit} ([image] {key})")]
    TooLarge {
        /// The entry at which the limit was exceeded.
        path: String,
        /// The counted quantity.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// A file's data lie in a device that the layer, or the image, does not have.
    #[error("the data of file {path:?} are in device {device}, of {devices}")]
    UnknownDevice {
        /// The file.
        path: String,
        /// The device, from 0.
        device: u16,
        /// Number of devices.
        devices: usize,
    },
    /// A file's data extend beyond their device.
    #[error("the data of file {path:?} end after {end} blocks of device {device}, which has {blocks}")]
    OutsideDevice {
        /// The file.
        path: String,
        /// Index in the image's device table, from 0.
        device: u16,
        /// Blocks from the start of the device to the end of the file.
        end: u64,
        /// Blocks of the device.
        blocks: u64,
    },
    /// A device that the format cannot describe.
    #[error("device {tag:?} of {bytes} bytes has a name of more than 64 bytes, or more than 4294967295 blocks")]
    Device {
        /// Its name.
        tag: String,
        /// Its size.
        bytes: u64,
    },
    /// More devices than an image can have.
    #[error("the image has {count} devices; {max} is the most")]
    TooManyDevices {
        /// Number of devices.
        count: usize,
        /// Maximum number.
        max: usize,
    },
    /// The metadata exceed the addressable size of EROFS.
    #[error("the image has {blocks} blocks; {max} is the most")]
    ImageTooLarge {
        /// Required blocks.
        blocks: u64,
        /// Maximum of EROFS.
        max: u64,
    },
}

impl Error {
    pub(crate) fn entry(path: &[u8], reason: &'static str) -> Self {
        Self::Entry { path: shown(path), reason }
    }

    /// The remedy for a user, as a sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "Use a smaller image, or raise the limit.",
            Self::TooManyDevices { .. } | Self::ImageTooLarge { .. } => "Use an image of fewer layers and files.",
            Self::Device { .. } => "Use smaller layers.",
            Self::UnknownDevice { .. } | Self::OutsideDevice { .. } => "Deploy the function's image again.",
            _ => "Build the image again without this entry.",
        }
    }
}

/// A path as an error shows it: bounded, and readable whatever its bytes are.
pub fn shown(path: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 200;
    if path.len() <= SHOWN_BYTES_MAX {
        return String::from_utf8_lossy(path).into_owned();
    }
    format!("{}…", String::from_utf8_lossy(&path[..SHOWN_BYTES_MAX]))
}
