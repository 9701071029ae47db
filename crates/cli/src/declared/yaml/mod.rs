//! YAML with the places of its values: reading, merging, typed values.

pub mod deserialize;
pub mod error;
pub mod merge;
pub mod nearest;
pub mod node;
pub mod place;
pub mod write;
