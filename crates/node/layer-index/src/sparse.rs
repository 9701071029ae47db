//! Maps of sparse files: where the data of an entry belongs in the file.

/// A run of data in a file with holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub offset: u64,
    pub len: u64,
}

/// A checked map: segments in order, without overlap, inside the file, and as many bytes as the
/// archive has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseMap {
    pub segments: Vec<Segment>,
    pub real_size: u64,
}

impl SparseMap {
    /// Checks a map against the size of the file and the bytes that the archive holds for it.
    pub(crate) fn new(segments: Vec<Segment>, real_size: u64, data_bytes: u64) -> Result<Self, &'static str> {
        let mut end = 0u64;
        let mut data = 0u64;
        for segment in &segments {
            if segment.offset < end {
                return Err("a sparse map is out of order");
            }
            end = segment.offset.checked_add(segment.len).ok_or("a sparse map is too large")?;
            // No overflow: segments do not overlap, so their sum is at most the end of the last.
            data += segment.len;
        }
        if end > real_size {
            return Err("a sparse map goes beyond the end of its file");
        }
        if data != data_bytes {
            return Err("a sparse map does not fit the data of its entry");
        }
        Ok(Self { segments, real_size })
    }

    /// Whether there is no hole.
    pub(crate) fn is_whole(&self) -> bool {
        // Segments do not overlap, so they fill the file when they are as long as it is.
        self.segments.iter().map(|segment| segment.len).sum::<u64>() == self.real_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_be_ordered_and_fit() {
        let segment = |offset, len| Segment { offset, len };
        assert!(SparseMap::new(vec![segment(0, 5), segment(10, 5), segment(20, 0)], 20, 10).is_ok());
        assert!(SparseMap::new(vec![], 1 << 40, 0).is_ok());
        assert!(SparseMap::new(vec![segment(10, 5), segment(0, 5)], 20, 10).is_err());
        assert!(SparseMap::new(vec![segment(0, 5), segment(4, 5)], 20, 10).is_err());
        assert!(SparseMap::new(vec![segment(0, 30)], 20, 30).is_err());
        assert!(SparseMap::new(vec![segment(0, 5)], 20, 6).is_err());
        assert!(SparseMap::new(vec![segment(u64::MAX, 2)], u64::MAX, 2).is_err());
    }
}
