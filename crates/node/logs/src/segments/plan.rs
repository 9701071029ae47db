//! Rotation and retention of segments. Pure: time and sizes are parameters.

use super::Segment;

/// Limits of retention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) age_ms_max: i64,
    pub(crate) disk_bytes_max: u64,
}

/// Limits of the active segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation {
    pub(crate) bytes_max: u64,
    pub(crate) age_ms_max: i64,
}

/// Whether the active segment must be closed: it is not empty, and large or old enough.
pub(crate) fn must_rotate(limits: Rotation, bytes: u64, oldest_ms: Option<i64>, now_ms: i64) -> bool {
    let old = oldest_ms.is_some_and(|oldest| now_ms.saturating_sub(oldest) >= limits.age_ms_max);
    bytes > 0 && (bytes >= limits.bytes_max || old)
}

/// Numbers of the segments to remove: those too old, then the oldest until the rest fits. Never the
/// active one.
pub(crate) fn to_remove(segments: &[(u64, Segment)], limits: Retention, active: u64, now_ms: i64) -> Vec<u64> {
    let mut total: u64 = segments.iter().map(|(_, segment)| segment.disk_bytes + segment.index_bytes).sum();
    let mut removed = Vec::new();
    for (number, segment) in segments.iter().filter(|(number, _)| *number != active) {
        let old = now_ms.saturating_sub(segment.newest_ms) > limits.age_ms_max;
        if old || total > limits.disk_bytes_max {
            total -= segment.disk_bytes + segment.index_bytes;
            removed.push(*number);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RETENTION: Retention = Retention { age_ms_max: 1_000, disk_bytes_max: 100 };

    fn segment(disk_bytes: u64, newest_ms: i64) -> Segment {
        Segment { plain_bytes: disk_bytes * 8, disk_bytes, index_bytes: 0, newest_ms, compressed: true }
    }

    #[test]
    fn old_segments_go_and_then_the_oldest_until_the_rest_fits() {
        let all = [(1, segment(10, 0)), (2, segment(60, 1_500)), (3, segment(30, 1_600)), (4, segment(50, 2_000))];
        assert_eq!(to_remove(&all, RETENTION, 4, 2_000), [1, 2]);
        assert_eq!(to_remove(&all[2..], RETENTION, 4, 2_000), [0u64; 0]);
    }

    #[test]
    fn the_active_segment_stays_whatever_its_size() {
        assert_eq!(to_remove(&[(1, segment(500, 0))], RETENTION, 1, 9_999), [0u64; 0]);
    }

    #[test]
    fn segments_close_by_size_or_age_but_never_empty() {
        let limits = Rotation { bytes_max: 100, age_ms_max: 1_000 };
        assert!(!must_rotate(limits, 0, None, 5_000));
        assert!(!must_rotate(limits, 99, Some(4_500), 5_000));
        assert!(must_rotate(limits, 100, Some(5_000), 5_000));
        assert!(must_rotate(limits, 1, Some(4_000), 5_000));
    }

    proptest! {
        #[test]
        fn what_stays_fits_or_is_the_active_one(sizes in prop::collection::vec(0u64..80, 1..20)) {
            let all: Vec<_> = sizes.iter().zip(1u64..).map(|(bytes, n)| (n, segment(*bytes, 2_000))).collect();
            let active = all.last().unwrap().0;
            let removed = to_remove(&all, RETENTION, active, 2_000);
            let kept: u64 = all.iter().filter(|(n, _)| !removed.contains(n) && *n != active).map(|(_, s)| s.disk_bytes).sum();
            let active_bytes = all.last().unwrap().1.disk_bytes;
            prop_assert!(kept == 0 || kept + active_bytes <= RETENTION.disk_bytes_max);
        }
    }
}
