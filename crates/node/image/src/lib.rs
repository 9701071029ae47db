//! Images: pulled, verified, kept by digest, and made into root file systems. The façade over the
//! crates that do this: `registry-client` pulls, `content-store` keeps, `layer-index` reads layers,
//! `rootfs` puts them together.
//!
//! Owns the order of a preparation (`prepare`), what is collected and when (`gc`), and the limits
//! of `[image]`. [`Images`] is the handle: [`Images::prepare`], then [`Images::rootfs`].
//!
//! No file of an image is unpacked where the kernel has EROFS: a layer is indexed while it streams
//! in, and an image is one small file system of metadata whose data lie in its layers' tars.
//! Mounting needs root.
#![forbid(unsafe_code)]

mod blocking;
mod config;
mod error;
mod gc;
mod images;
mod prepare;
mod progress;
mod singleflight;
mod state;

pub use config::Config;
pub use content_store::{Finding, ScrubReport};
pub use error::Error;
pub use gc::Collected;
pub use images::Images;
pub use oci::RunConfig;
pub use prepare::{PrepareRequest, Prepared};
pub use progress::{Progress, ProgressListener, Step};
pub use rootfs::{Check, Rootfs, RootfsMode, doctor};
