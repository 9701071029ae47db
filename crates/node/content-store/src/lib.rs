//! The content store: blobs by digest, layers as plain tars with an index, and root file systems by
//! the stack of their layers; shared by pulled images and the platform's registry.
//!
//! Owns the files on disk (`layout` and `layer_name` draw them), the roots of garbage collection
//! ([`GcRoots`]), and the verification of content ([`Verifier`], [`Scrubs`]). Nothing unverified
//! becomes visible: a blob is renamed into place after its digest matched, a layer after it was
//! synced.
//!
//! How to use: [`Layout::open`], [`ContentStore::load`] and [`Layers::new`] at the start; then
//! [`ContentStore::begin_upload`] or [`ContentStore::put`] to store, [`ContentStore::open`] or
//! [`ContentStore::read_verified`] to read, and [`ContentStore::pin`] or [`ContentStore::lease`] to
//! protect content from collection.
#![forbid(unsafe_code)]

mod blobs;
mod blocking;
mod config;
mod durable;
mod error;
mod gc_roots;
mod layer_name;
mod layers;
mod layout;
mod pins;
mod quarantine;
mod rate_limit;
mod reachable;
mod scrub;
mod sizes;
mod store;
mod upload;
mod verify;

pub use config::Config;
pub use error::{DEPLOY_AGAIN, Error, report};
pub use gc_roots::{GcRoots, Hold, Item, Lease, Pin, Roots, Touch};
pub use layer_name::{LayerFacts, LayerName, RootfsFacts};
pub use layers::{Draft, Layer, Layers};
pub use layout::Layout;
pub use reachable::{INDEX_DEPTH_MAX, Reachable};
pub use scrub::{Finding, ScrubReport, Scrubs, check_sizes, due};
pub use sizes::{layer_fits, rootfs_fits};
pub use store::ContentStore;
pub use upload::Upload;
pub use verify::{Verified, Verifier};
