//! `sampan push`: an image from where people have one (OCI layout or archive, docker archive, a folder) to a registry.
//!
//! A source is read into [`Content`], which names every byte to be sent; `upload` sends it. Must not know functions.

pub mod content;
pub mod docker_archive;
pub mod from_dir;
pub mod layout;
pub mod source;
pub mod upload;
