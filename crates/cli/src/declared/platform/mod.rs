//! The model in the words of the cloud API: what is there, and requests that change it.

mod extras;
pub mod function;
pub mod image;
