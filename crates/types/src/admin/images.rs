//! Messages of the administrative endpoint for images. Pure.

use serde::{Deserialize, Serialize};

/// Path of the endpoint.
pub const PATH: &str = "/admin/images";
/// The action that its requests sign.
pub const ACTION: &str = "AdministerImages";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Lists images of the platform's registry.
    List {},
    /// Removes untagged images.
    Prune {
        /// How long they must have been untagged, in seconds.
        older_than_s: u64,
        /// Only lists what would be removed.
        dry_run: bool,
    },
    /// Verifies all content.
    Scrub {
        /// Starts a scrub; otherwise only returns its progress.
        begin: bool,
    },
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Response to `List`.
    Images(Vec<Image>),
    /// Response to `Prune`.
    Pruned(Pruned),
    /// Response to `Scrub`.
    Scrub(Scrub),
    /// A failed request.
    Refused {
        /// HTTP status.
        status: u16,
        /// The reason.
        message: String,
    },
}

/// A manifest in the platform's registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Name in the registry, without its host.
    pub repository: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Tags that point to it.
    pub tags: Vec<String>,
    /// Why it is kept: `tagged`, `deployed`, `named` (by an index), or `untagged`.
    pub kept: String,
    /// Bytes of the manifest and its blobs; shared blobs count for each image.
    pub bytes: u64,
    /// Time of its last push or lost tag, in Unix milliseconds.
    pub changed_ms: u64,
}

/// Content that a prune removed or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// The untagged images.
    pub images: Vec<Image>,
    /// Bytes of blobs that only these images name.
    pub image_bytes: u64,
    /// Bytes freed on disk, including those of pulled images and of blobs that no image names.
    pub freed_bytes: u64,
}

/// Progress of a scrub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// Whether it is in progress.
    pub running: bool,
    /// Whether the last one was aborted.
    pub cut_short: bool,
    /// Verified items.
    pub items: u64,
    /// Total items.
    pub items_total: u64,
    /// Verified bytes.
    pub bytes: u64,
    /// Whether the kernel verifies reads of stored content (fs-verity).
    pub fs_verity: bool,
    /// The first damaged items.
    pub found: Vec<Found>,
    /// Number of damaged items.
    pub found_total: u64,
}

/// A damaged item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Kind of the item: blob, layer tar or metadata.
    pub kind: String,
    /// Digest or file name.
    pub name: String,
    /// The damage.
    pub reason: String,
    /// Path that it was moved to; `None` if it was left in place.
    pub set_aside: Option<String>,
    /// Functions and repositories that need it.
    pub needed_by: Vec<String>,
    /// Whether an intact copy exists again.
    pub healed: bool,
}
