//! Whether what is on disk is still what was written. Must not know why content is kept, or who asks.
//!
//! That a file is there is no proof of what is in it. `sizes` looks at lengths, which costs nothing.

mod sizes;

pub(crate) use self::sizes::{layer_fits, rootfs_fits};
