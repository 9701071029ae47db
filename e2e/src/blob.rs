//! Blobs as sequences of shared chunks with a digest, so that repetitive gigabytes take no memory.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Length of a chunk sent at once.
const CHUNK_BYTES: usize = 64 << 10;

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Content as a registry sends it.
#[derive(Clone)]
pub struct Blob {
    parts: Arc<[Bytes]>,
    /// `sha256:…` of the bytes.
    pub digest: String,
    /// Number of bytes.
    pub size: u64,
}

impl Blob {
    /// A blob of one chunk.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self::of_parts(vec![bytes.into()])
    }

    /// A blob of several chunks.
    pub fn of_parts(parts: Vec<Bytes>) -> Self {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        let digest = format!("sha256:{}", hex::encode(hash.finalize()));
        let size = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts: parts.into(), digest, size }
    }

    /// The same bytes under a wrong digest.
    pub fn named(self, digest: &str) -> Self {
        Self { digest: digest.to_owned(), ..self }
    }

    /// Its first `len` bytes followed by `more`.
    pub fn spliced(&self, len: u64, more: impl Into<Bytes>) -> Self {
        let mut left = len;
        let mut parts: Vec<Bytes> = Vec::new();
        for chunk in self.chunks(0) {
            let taken = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            parts.push(chunk.slice(..taken));
            left -= taken as u64;
        }
        parts.push(more.into());
        Self::of_parts(parts)
    }

    /// The bytes from `offset`, in chunks for a connection.
    pub fn chunks(&self, offset: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
        let parts = self.parts.clone();
        let (mut index, mut at) = (0, 0);
        let mut skip = offset;
        std::iter::from_fn(move || {
            loop {
                let part = parts.get(index)?;
                let left = (part.len() - at) as u64;
                if skip >= left {
                    (skip, index, at) = (skip - left, index + 1, 0);
                    continue;
                }
                at += usize::try_from(skip).expect("less than the length of a piece");
                skip = 0;
                let end = part.len().min(at + CHUNK_BYTES);
                let chunk = part.slice(at..end);
                at = end;
                return Some(chunk);
            }
        })
    }

    /// All bytes in one buffer.
    pub fn bytes(&self) -> Bytes {
        match &*self.parts {
            [only] => only.clone(),
            parts => parts.concat().into(),
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("digest", &self.digest).field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_a_blob_are_contiguous_from_any_offset() {
        let blob = Blob::of_parts(vec![Bytes::from("one"), Bytes::new(), Bytes::from("two"), Bytes::from("three")]);
        let whole = b"onetwothree";
        assert_eq!(blob.bytes(), &whole[..]);
        assert_eq!(blob.digest, Blob::new(&whole[..]).digest);
        for offset in 0..=whole.len() {
            assert_eq!(blob.chunks(offset as u64).collect::<Vec<_>>().concat(), &whole[offset..], "from {offset}");
        }
        assert_eq!(blob.spliced(4, "!").bytes(), "onet!");
    }
}
