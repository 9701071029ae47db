//! Requests to the images' administrative endpoint, and its answers.

use serde::{Deserialize, Serialize};

/// Where the endpoint is.
pub const PATH: &str = "/admin/images";
/// The action that requests to it sign.
pub const ACTION: &str = "AdministerImages";

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Lists the images of the own registry.
    List {},
    /// Removes what nothing leads to.
    Prune {
        /// For how long nothing has led to it, in seconds.
        older_than_s: u64,
        /// Says what would be removed.
        dry_run: bool,
    },
    /// Reads and verifies all content.
    Scrub {
        /// Begins it; otherwise only asks how far it is.
        begin: bool,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `List`.
    Images(Vec<Image>),
    /// To `Prune`.
    Pruned(Pruned),
    /// To `Scrub`.
    Scrub(Scrub),
    /// To whatever cannot be done.
    Refused {
        /// The status of the answer.
        status: u16,
        /// Why.
        message: String,
    },
}

/// A manifest of the own registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Name in the registry, without its host.
    pub repository: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// `tagged`, `deployed`, `named` or `untagged`.
    pub kept: String,
    /// Bytes of its layers and config.
    pub bytes: u64,
    /// When it was pushed last or lost a tag, Unix milliseconds.
    pub changed_ms: u64,
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// What goes.
    pub images: Vec<Image>,
    /// Bytes of blobs that only these images name.
    pub image_bytes: u64,
    /// Bytes that were removed from the disk, of pulled images too.
    pub freed_bytes: u64,
}

/// How far a scrub is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// Whether it runs.
    pub running: bool,
    /// Whether the last one ended before its end.
    pub cut_short: bool,
    /// Items read.
    pub items: u64,
    /// Items there are.
    pub items_total: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Whether the kernel checks what is read of kept content.
    pub fs_verity: bool,
    /// The damaged ones, the first of them.
    pub found: Vec<Found>,
    /// How many are damaged.
    pub found_total: u64,
}

/// Something that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Kind of the item: blob, layer tar or metadata.
    pub kind: String,
    /// Digest or file name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// Where it was moved; nothing where it was left in place.
    pub set_aside: Option<String>,
    /// Functions and repositories that need it.
    pub needed_by: Vec<String>,
    /// Whether it is there again, and sound.
    pub healed: bool,
}
