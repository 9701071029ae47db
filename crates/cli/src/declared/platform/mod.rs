//! Conversions between the model and the cloud API's answers and requests.

pub mod entry;
mod extras;
pub mod function;
pub mod image;
pub mod mark;
pub mod release;
