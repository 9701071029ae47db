//! YAML with the places of its values: reading, merging, typed values.

pub mod deserialize;
pub mod error;
pub mod load;
pub mod merge;
mod merge_key;
pub mod nearest;
pub mod node;
pub mod place;
pub mod write;
