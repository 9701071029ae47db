//! Entry points of the fuzz targets, behind the feature `fuzzing`.

use crate::websocket::frames::Frames;

/// Longest frame that the fuzzed direction accepts, in bytes.
const FRAME_BYTES_MAX: u64 = 1 << 20;

/// Parses WebSocket frames (RFC 6455 section 5.2) that arrive in pieces; the first byte is the
/// length of each piece.
///
/// # Panics
/// When the parser consumes more than it was given, or makes no progress without having seen an
/// end.
pub fn websocket_frames(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut frames = Frames::new(FRAME_BYTES_MAX);
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Ok(seen) = frames.follow(rest, 4) else { return };
            assert!(seen.bytes > 0 && seen.bytes <= rest.len(), "consumed {} of {}", seen.bytes, rest.len());
            if seen.closed.is_some() {
                return;
            }
            rest = &rest[seen.bytes..];
        }
    }
}
