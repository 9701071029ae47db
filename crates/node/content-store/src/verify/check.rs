//! Reads one item and compares it with its recorded digests and lengths.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, ReadWriteFlags};
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::gc_roots::Item;
use crate::layer_name::{self, LayerFacts, LayerName, RootfsFacts};
use crate::layout::Layout;
use crate::rate_limit::RateLimit;

const BUFFER_BYTES: usize = 1 << 20;
/// `RWF_DONTCACHE` (Linux 6.14): pages that the read adds to the page cache are dropped afterwards.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Result of a check.
#[derive(Debug)]
pub(crate) enum Checked {
    Intact,
    /// It does not exist.
    Absent,
    /// It is damaged, with how that was detected.
    Bad(String),
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The check was stopped.
    Stopped,
}

/// The files of an item, the most important one first.
pub(crate) fn files(layout: &Layout, item: &Item) -> Vec<PathBuf> {
    match item {
        Item::Blob(digest) => vec![layout.blob(digest)],
        Item::Layer(name) => {
            let dir = layout.layers().join(name.as_str());
            let names: &[&str] = match (name.diff_id(), name.is_erofs()) {
                (Some(_), _) => &[layer_name::TAR, layer_name::SPARSE, layer_name::INDEX, layer_name::FACTS],
                (None, true) => &[layer_name::METADATA, layer_name::FACTS],
                (None, false) => &[layer_name::FACTS],
            };
            names.iter().map(|name| dir.join(name)).collect()
        }
    }
}

/// Reads and checks all files of an item.
pub(crate) fn check(layout: &Layout, item: &Item, rate_limit: &RateLimit) -> Checked {
    match item {
        Item::Blob(digest) => file(&layout.blob(digest), digest, None, rate_limit),
        Item::Layer(name) => {
            let dir = layout.layers().join(name.as_str());
            let whole = match name.diff_id() {
                Some(diff_id) => layer(&dir, &diff_id, rate_limit),
                None => rootfs(&dir, name, rate_limit),
            };
            match whole {
                Err(checked) => checked,
                Ok(()) => Checked::Intact,
            }
        }
    }
}

/// Any result but `Intact` ends a check of several files.
fn all_well(checked: Checked) -> Result<(), Checked> {
    if matches!(checked, Checked::Intact) { Ok(()) } else { Err(checked) }
}

/// Checks a file of an existing item, which is damaged without it.
fn part(path: &Path, digest: &Digest, bytes: Option<u64>, rate_limit: &RateLimit) -> Result<(), Checked> {
    match file(path, digest, bytes, rate_limit) {
        Checked::Absent => Err(Checked::Bad(format!("{} is missing", shown(path)))),
        checked => all_well(checked),
    }
}

fn layer(dir: &Path, diff_id: &Digest, rate_limit: &RateLimit) -> Result<(), Checked> {
    let facts: LayerFacts = facts(dir)?;
    let tar_digest = facts.tar_digest.as_ref().unwrap_or(diff_id);
    part(&dir.join(layer_name::TAR), tar_digest, Some(facts.tar_bytes), rate_limit)?;
    if let Some(digest) = facts.sparse_digest.as_ref().filter(|_| facts.sparse_bytes > 0) {
        part(&dir.join(layer_name::SPARSE), digest, Some(facts.sparse_bytes), rate_limit)?;
    }
    facts.index_digest.as_ref().map_or(Ok(()), |digest| part(&dir.join(layer_name::INDEX), digest, None, rate_limit))
}

fn rootfs(dir: &Path, name: &LayerName, rate_limit: &RateLimit) -> Result<(), Checked> {
    let facts: RootfsFacts = facts(dir)?;
    let Some(digest) = facts.metadata_digest.filter(|_| name.is_erofs()) else { return Ok(()) };
    part(&dir.join(layer_name::METADATA), &digest, None, rate_limit)
}

fn facts<F: serde::de::DeserializeOwned>(dir: &Path) -> Result<F, Checked> {
    let path = dir.join(layer_name::FACTS);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Checked::Bad(format!("{}: {error}", shown(&path)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Checked::Absent),
        Err(error) => Err(Checked::Unreadable(path, error)),
    }
}

fn file(path: &Path, digest: &Digest, bytes: Option<u64>, rate_limit: &RateLimit) -> Checked {
    match hash(path, bytes, rate_limit) {
        Ok(Some(Ok(actual))) if actual == *digest => Checked::Intact,
        Ok(Some(Ok(actual))) => Checked::Bad(format!("{} has digest {actual}, not {digest}", shown(path))),
        Ok(Some(Err(actual))) => {
            Checked::Bad(format!("{} has {actual} bytes, not {}", shown(path), bytes.unwrap_or_default()))
        }
        Ok(None) => Checked::Stopped,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Checked::Absent,
        Err(error) => Checked::Unreadable(path.to_owned(), error),
    }
}

/// The digest of a file, or its length if that is wrong; `None` when stopped.
fn hash(path: &Path, bytes: Option<u64>, rate_limit: &RateLimit) -> io::Result<Option<Result<Digest, u64>>> {
    let file = File::open(path)?;
    let actual = file.metadata()?.len();
    if bytes.is_some_and(|bytes| bytes != actual) {
        return Ok(Some(Err(actual)));
    }
    let (mut hash, mut offset, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let read = read_at(&file, &mut buffer, offset, rate_limit.is_bounded())?;
        if read == 0 {
            return Ok(Some(Ok(Digest::from_sha256(&hash.finalize().into()))));
        }
        hash.update(&buffer[..read]);
        offset += read as u64;
        if !rate_limit.spend(read as u64) {
            return Ok(None);
        }
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64, uncached: bool) -> io::Result<usize> {
    if uncached {
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, DONT_CACHE) {
            // The file system or kernel does not support it.
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
            read => return Ok(read?),
        }
    }
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// The last two components of a path, which identify an item of the store.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    parts.into_iter().rev().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
