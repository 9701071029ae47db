//! Reads one thing and compares it with what is known of it. Must not know what becomes of what is bad.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, ReadWriteFlags};
use sha2::{Digest as _, Sha256};
use types::Digest;

use super::pace::Pace;
use crate::content::layout::Layout;
use crate::content::ledger::Item;
use crate::layers::{self, LayerFacts, LayerName, RootfsFacts};

const BUFFER_BYTES: usize = 1 << 20;
/// `RWF_DONTCACHE` (Linux 6.14): pages that the read brings into the page cache leave it afterwards.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// What a look at a thing gave.
#[derive(Debug)]
pub(super) enum Verdict {
    Sound,
    /// It is not there.
    Absent,
    /// It is not what was written, and how that was seen.
    Bad(String),
    /// The kernel does not give its bytes.
    Unreadable(PathBuf, io::Error),
    /// The check was stopped.
    Stopped,
}

/// The files that an item is made of, the one that matters most first.
pub(super) fn files(layout: &Layout, item: &Item) -> Vec<PathBuf> {
    match item {
        Item::Blob(digest) => vec![layout.blob(digest)],
        Item::Layer(name) => {
            let dir = layout.layers().join(name.as_str());
            let names: &[&str] = match (name.diff_id(), name.is_erofs()) {
                (Some(_), _) => &[layers::TAR, layers::SPARSE, layers::INDEX, layers::FACTS],
                (None, true) => &[layers::METADATA, layers::FACTS],
                (None, false) => &[layers::FACTS],
            };
            names.iter().map(|name| dir.join(name)).collect()
        }
    }
}

/// Reads all of an item.
pub(super) fn check(layout: &Layout, item: &Item, pace: &Pace) -> Verdict {
    match item {
        Item::Blob(digest) => file(&layout.blob(digest), digest, None, pace),
        Item::Layer(name) => {
            let dir = layout.layers().join(name.as_str());
            let checked = match name.diff_id() {
                Some(diff_id) => layer(&dir, &diff_id, pace),
                None => rootfs(&dir, name, pace),
            };
            match checked {
                Err(verdict) => verdict,
                Ok(()) => Verdict::Sound,
            }
        }
    }
}

/// Anything but `Sound` ends a check of several files.
fn all_well(verdict: Verdict) -> Result<(), Verdict> {
    if matches!(verdict, Verdict::Sound) { Ok(()) } else { Err(verdict) }
}

/// A file that belongs to something which is there: without it that is damaged.
fn part(path: &Path, digest: &Digest, bytes: Option<u64>, pace: &Pace) -> Result<(), Verdict> {
    match file(path, digest, bytes, pace) {
        Verdict::Absent => Err(Verdict::Bad(format!("{} is missing", shown(path)))),
        verdict => all_well(verdict),
    }
}

fn layer(dir: &Path, diff_id: &Digest, pace: &Pace) -> Result<(), Verdict> {
    let facts: LayerFacts = facts(dir)?;
    part(&dir.join(layers::TAR), diff_id, Some(facts.tar_bytes), pace)?;
    if let Some(digest) = facts.sparse_digest.as_ref().filter(|_| facts.sparse_bytes > 0) {
        part(&dir.join(layers::SPARSE), digest, Some(facts.sparse_bytes), pace)?;
    }
    facts.index_digest.as_ref().map_or(Ok(()), |digest| part(&dir.join(layers::INDEX), digest, None, pace))
}

fn rootfs(dir: &Path, name: &LayerName, pace: &Pace) -> Result<(), Verdict> {
    let facts: RootfsFacts = facts(dir)?;
    let Some(digest) = facts.metadata_digest.filter(|_| name.is_erofs()) else { return Ok(()) };
    part(&dir.join(layers::METADATA), &digest, None, pace)
}

fn facts<F: serde::de::DeserializeOwned>(dir: &Path) -> Result<F, Verdict> {
    let path = dir.join(layers::FACTS);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Verdict::Bad(format!("{}: {error}", shown(&path)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Verdict::Absent),
        Err(error) => Err(Verdict::Unreadable(path, error)),
    }
}

fn file(path: &Path, digest: &Digest, bytes: Option<u64>, pace: &Pace) -> Verdict {
    match hash(path, bytes, pace) {
        Ok(Some(Ok(actual))) if actual == *digest => Verdict::Sound,
        Ok(Some(Ok(actual))) => Verdict::Bad(format!("{} has digest {actual}, not {digest}", shown(path))),
        Ok(Some(Err(actual))) => {
            Verdict::Bad(format!("{} has {actual} bytes, not {}", shown(path), bytes.unwrap_or_default()))
        }
        Ok(None) => Verdict::Stopped,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Verdict::Absent,
        Err(error) => Verdict::Unreadable(path.to_owned(), error),
    }
}

/// The digest of a file, or its length where that is another one than it should be; `None` when it was stopped.
fn hash(path: &Path, bytes: Option<u64>, pace: &Pace) -> io::Result<Option<Result<Digest, u64>>> {
    let file = File::open(path)?;
    let actual = file.metadata()?.len();
    if bytes.is_some_and(|bytes| bytes != actual) {
        return Ok(Some(Err(actual)));
    }
    let (mut hash, mut offset, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let read = read_at(&file, &mut buffer, offset, pace.is_bounded())?;
        if read == 0 {
            return Ok(Some(Ok(Digest::from_sha256(&hash.finalize().into()))));
        }
        hash.update(&buffer[..read]);
        offset += read as u64;
        if !pace.spend(read as u64) {
            return Ok(None);
        }
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64, uncached: bool) -> io::Result<usize> {
    if uncached {
        match rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, DONT_CACHE) {
            // A file system or kernel without it.
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
            read => return Ok(read?),
        }
    }
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// The last two parts of a path, which name a thing of the store.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    parts.into_iter().rev().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
