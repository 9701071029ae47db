//! HTTP ranges: `Range` of a blob download (RFC 9110 section 14) and `Content-Range` of an upload's
//! chunk (distribution specification, "Pushing a blob in chunks"). Pure.

/// The part of a blob to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: without a `Range`, or with one that is ignored.
    Whole,
    /// From `first` to `last`, both included.
    Bytes { first: u64, last: u64 },
    /// The range begins behind the end.
    OutOfBounds,
}

/// Parses a `Range` header for content of `length` bytes. Multiple ranges, other units and
/// malformed ones are ignored, as the RFC allows.
pub(crate) fn requested(header: &str, length: u64) -> Part {
    let Some(spec) = header.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match number(last) {
            Some(0) => Part::OutOfBounds,
            Some(_) if length == 0 => Part::OutOfBounds,
            Some(suffix) => Part::Bytes { first: length.saturating_sub(suffix), last: length - 1 },
            None => Part::Whole,
        };
    }
    let (Some(first), last) = (number(first), if last.is_empty() { Some(u64::MAX) } else { number(last) }) else {
        return Part::Whole;
    };
    match last {
        Some(last) if last < first => Part::Whole,
        Some(_) if first >= length => Part::OutOfBounds,
        Some(last) => Part::Bytes { first, last: last.min(length - 1) },
        None => Part::Whole,
    }
}

/// Parses the `Content-Range` of a chunk, `FIRST-LAST` or `bytes FIRST-LAST/TOTAL`. `None` when
/// malformed.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _total)| range);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < u64::MAX).then_some((first, last))
}

/// The `Range` header with the progress of an upload; an empty one is `0-0`, as in other
/// registries.
pub(crate) fn received(bytes: u64) -> String {
    format!("0-{}", bytes.saturating_sub(1))
}

/// Digits only: `u64`'s own parser accepts a plus sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_parsed_as_the_rfc_says() {
        let part = |first, last| Part::Bytes { first, last };
        for (header, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-4", part(2, 4)),
            ("bytes=2-", part(2, 9)),
            ("bytes=2-99", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=10-", Part::OutOfBounds),
            ("bytes=10-20", Part::OutOfBounds),
            ("bytes=-0", Part::OutOfBounds),
            ("bytes=4-2", Part::Whole),
            ("bytes=1-2,4-5", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
        ] {
            assert_eq!(requested(header, 10), expected, "{header}");
        }
        assert_eq!(requested("bytes=0-", 0), Part::OutOfBounds);
        assert_eq!(requested("bytes=-1", 0), Part::OutOfBounds);
    }

    #[test]
    fn content_range_of_chunks_is_parsed() {
        assert_eq!(chunk("0-9"), Some((0, 9)));
        assert_eq!(chunk("bytes 5-9/20"), Some((5, 9)));
        for bad in ["", "5", "9-5", "-5", "a-b", "5-", "0-18446744073709551615"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
        assert_eq!(received(0), "0-0");
        assert_eq!(received(10), "0-9");
    }

    proptest! {
        #[test]
        fn a_part_always_lies_inside(header in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0u64..500) {
            if let Part::Bytes { first, last } = requested(&header, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
