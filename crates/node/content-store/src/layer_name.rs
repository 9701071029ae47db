//! Names of layers and root file systems, what is known of each, and the files that it is made of.
//!
//! ```text
//! layers/t-<64 hex digits>/     a layer by its diff id, shared by all images that have it
//!   layer.tar                   its uncompressed tar, as it is
//!   sparse                      its files with holes, one after another; may be missing
//!   index                       its entries, and where in the two files their bytes are
//!   facts.json                  see `LayerFacts`
//!   from-<64 hex digits>        a blob that was found to hold it; its size in decimal
//! layers/e2-<64 hex digits>/    a root file system by the chain id of its topmost layer
//!   metadata.erofs              an EROFS image whose devices are the files of the layers
//!   facts.json                  see `RootfsFacts`
//! layers/f2-<64 hex digits>/    the same as plain files, where the kernel has no EROFS
//!   fs/                         the root
//!   facts.json
//! ```
//!
//! The number in a root file system's name is that of the rules by which it is made of its layers
//! (decision 28); it changes with them. Those of other numbers are collected. Without a number:
//! owners are not folded.

use std::sync::Arc;

use layer_index::Weight;
use oci::chain_id;
use serde::{Deserialize, Serialize};
use types::Digest;

pub(crate) const TAR: &str = "layer.tar";
pub(crate) const SPARSE: &str = "sparse";
pub(crate) const INDEX: &str = "index";
pub(crate) const METADATA: &str = "metadata.erofs";
pub(crate) const ROOT: &str = "fs";
pub(crate) const FACTS: &str = "facts.json";

/// Prefix of names of root file systems in EROFS.
const EROFS: &str = "e2-";
const FILES: &str = "f2-";

/// Name of a directory below `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerName(Arc<str>);

impl LayerName {
    /// The name of a layer.
    pub fn tar(diff_id: &Digest) -> Self {
        Self(format!("t-{}", diff_id.hex()).into())
    }

    /// The name of a stack of layers as EROFS.
    pub fn erofs(stack: &[Digest]) -> Self {
        Self(format!("{EROFS}{}", chain_id(stack).hex()).into())
    }

    /// The name of a stack of layers as files.
    pub fn files(stack: &[Digest]) -> Self {
        Self(format!("{FILES}{}", chain_id(stack).hex()).into())
    }

    /// The name of a stack of layers as files, from before owners were folded.
    pub fn unfolded_files(stack: &[Digest]) -> Self {
        Self(format!("f-{}", chain_id(stack).hex()).into())
    }

    /// The name of the directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest of a layer's tar; `None` for a root file system.
    pub fn diff_id(&self) -> Option<Digest> {
        format!("sha256:{}", self.0.strip_prefix("t-")?).parse().ok()
    }

    /// Whether it is a root file system in EROFS.
    pub fn is_erofs(&self) -> bool {
        self.0.starts_with('e')
    }

    /// Whether it is a root file system of this stack, of any kind.
    pub fn is_of_stack(&self, stack: &[Digest]) -> bool {
        self.diff_id().is_none() && self.0.ends_with(chain_id(stack).hex())
    }

    /// Parses the name of a directory, of this version or another one, so that those of other
    /// versions are collected.
    pub(crate) fn of_dir(name: &str) -> Option<Self> {
        let (prefix, hex) = name.split_once('-')?;
        let number = prefix.strip_prefix(['t', 'e', 'f'])?;
        let ours = number.bytes().all(|b| b.is_ascii_digit()) && hex.len() == 64;
        ours.then(|| Self(name.into()))
    }
}

/// Facts of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// Bytes of its files.
    pub bytes: u64,
    /// Its entries.
    pub entries: u64,
    /// Length of its tar, whose last block may be padded with zeros.
    pub tar_bytes: u64,
    /// Digest of its tar if that is padded; otherwise it equals the layer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_digest: Option<Digest>,
    /// Length of its file of sparse files; 0 if there is none.
    pub sparse_bytes: u64,
    /// Cost of merging it with other layers; missing in layers of earlier versions.
    #[serde(default)]
    pub weight: Option<Weight>,
    /// Digest of that file; missing in layers of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse_digest: Option<Digest>,
    /// Digest of its index; missing in layers of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<Digest>,
}

/// Facts of a root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsFacts {
    /// Files that hold its data, in the order of its device table, as paths below `layers`; empty
    /// for plain files.
    pub devices: Vec<String>,
    /// Digest of `metadata.erofs`; missing in those of earlier versions, and for plain files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_digest: Option<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_named_by_its_chain_id_and_its_kind() {
        let a = Digest::from_sha256(&[1; 32]);
        let alone = std::slice::from_ref(&a);
        assert_ne!(LayerName::erofs(alone), LayerName::files(alone));
        assert_ne!(LayerName::erofs(alone), LayerName::tar(&a));
    }

    #[test]
    fn directories_of_every_version_are_known() {
        let hex = "a".repeat(64);
        for known in ["t", "e", "f", "e2", "f2", "e13"] {
            assert!(LayerName::of_dir(&format!("{known}-{hex}")).is_some(), "{known}");
        }
        for other in ["x", "ex", "e2x", ""] {
            assert!(LayerName::of_dir(&format!("{other}-{hex}")).is_none(), "{other}");
        }
        assert!(LayerName::of_dir("e2-aa").is_none());
    }
}
