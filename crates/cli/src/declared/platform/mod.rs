//! The model in the words of the cloud API: what is there, and requests that change it.

pub mod entry;
mod extras;
pub mod function;
pub mod image;
pub mod mark;
pub mod release;
