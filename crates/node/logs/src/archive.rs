//! State shared by the writer and queries: the segments, the indexes of closed ones, and the
//! in-memory index of the rest.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::index::Index;
use crate::segment_index::Indexes;
use crate::segments::Segments;

/// The written log.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) segments: Arc<Segments>,
    pub(crate) indexes: Indexes,
    pub(crate) index: Mutex<Index>,
}
