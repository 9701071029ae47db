//! `sampan push`: sends an image from an OCI layout or archive, a docker archive, or a folder to a
//! registry.
//!
//! Sources are read into [`Content`], which lists everything to be sent; `upload` sends it.

pub mod content;
pub mod docker_archive;
pub mod from_dir;
pub mod layout;
pub mod source;
pub mod upload;
