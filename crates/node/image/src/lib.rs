//! Images: pulled, verified, kept by digest, and made into root file systems.
//!
//! Owns the content store (`content`, whose `layout` draws what is on disk), the registry client (`pull`), the layers as
//! plain tars with an index (`layers`, `index`), the root file systems that are made of them (`rootfs`), and garbage
//! collection (`gc`); `prepare` puts them in order, [`Images`] is the handle. Must not know functions: it sees image
//! references, digests, and owners, which are opaque texts that pin content.
//!
//! No file of an image is unpacked where the kernel has EROFS: a layer is indexed while it streams in, and an image is
//! one small file system of metadata whose data lie in its layers' tars. Mounting needs root.
#![forbid(unsafe_code)]

mod blocking;
mod config;
mod error;
mod flight;
mod gc;
mod images;
mod prepare;
mod progress;

pub use config::Config;
pub use content_store::{Finding, ScrubReport};
pub use error::Error;
pub use gc::Collected;
pub use images::Images;
pub use oci::RunConfig;
pub use prepare::{PrepareRequest, Prepared};
pub use progress::{Progress, ProgressListener, Step};
pub use rootfs::{Check, Rootfs, RootfsMode, doctor};
