//! YAML with source places: parsing, merging, deserializing, writing.

pub mod deserialize;
pub mod error;
pub mod load;
pub mod merge;
mod merge_key;
pub mod nearest;
pub mod node;
pub mod place;
pub mod write;
