//! Detects the compression of a stream by its first bytes.

/// The compression of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None, or unknown.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// A compression that layers may not have, by its name.
    Unknown(&'static str),
}

impl Compression {
    /// Number of first bytes that detection needs.
    pub const MAGIC_BYTES: usize = 6;

    /// Detects it from the first [`MAGIC_BYTES`](Self::MAGIC_BYTES) of a stream, or all of a
    /// shorter one.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame (RFC 8878, 3.1.2), which precedes each part in pzstd's output.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41] => Self::Unknown("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Self::Unknown("xz"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Unknown("lz4"),
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_compression() {
        let cases: [(&[u8], Compression); 10] = [
            (b"", Compression::None),
            (b"etc/pa", Compression::None),
            (&[0x1f, 0x8b, 8, 0, 0, 0], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd, 4, 0], Compression::Zstd),
            (&[0x50, 0x2a, 0x4d, 0x18, 4, 0], Compression::Zstd),
            (&[0x5f, 0x2a, 0x4d, 0x18], Compression::Zstd),
            (&[0x28, 0xb5], Compression::None),
            (b"BZh91A", Compression::Unknown("bzip2")),
            (b"BZh9/a", Compression::None),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Unknown("xz")),
        ];
        for (start, compression) in cases {
            assert_eq!(Compression::of(start), compression, "{start:x?}");
        }
    }
}
