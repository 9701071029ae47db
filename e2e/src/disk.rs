//! What the platform keeps on disk for images, seen from outside: which files there are, how much room they take, and
//! whether each is what its name says. Follows the layout that `crates/node/image` documents.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::{Platform, blob, wait};

/// Files below the folder of images: their paths there, and their allocated bytes.
pub type Files = BTreeMap<PathBuf, u64>;

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// Every file that is kept for images.
pub fn files(data_dir: &Path) -> Files {
    let (root, mut found) = (folder(data_dir), Files::new());
    visit(&root, &mut |path, meta| {
        let below = path.strip_prefix(&root).unwrap_or(path);
        found.insert(below.to_owned(), meta.blocks() * 512);
    });
    found
}

/// Allocated bytes of all of them.
pub fn bytes(data_dir: &Path) -> u64 {
    files(data_dir).values().sum()
}

/// What is half-made, or was left half-made.
pub fn drafts(data_dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder(data_dir).join("drafts")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Waits until nothing is half-made.
pub async fn no_drafts(platform: &Platform) -> anyhow::Result<()> {
    wait::until("no drafts are left", || async { Ok(drafts(&platform.data_dir()).is_empty().then_some(())) }).await
}

/// Waits until a failed deploy has left nothing on disk but what is whole and verified, which is a cache: blobs, and
/// layers by the digest of their tar.
pub async fn as_before(platform: &Platform, before: &Files) -> anyhow::Result<()> {
    no_drafts(platform).await?;
    let now = files(&platform.data_dir());
    for path in before.keys() {
        ensure!(now.contains_key(path), "{} is gone", path.display());
    }
    for path in now.keys().filter(|path| !before.contains_key(*path)) {
        let file = folder(&platform.data_dir()).join(path);
        match layer_of(path) {
            Some(hex) => verify(&file.with_file_name("layer.tar"), hex)?,
            None => {
                ensure!(path.starts_with("blobs"), "{} is left", path.display());
                verify_blob(&file)?;
            }
        }
    }
    Ok(())
}

/// The digest of the layer that a file belongs to.
fn layer_of(path: &Path) -> Option<&str> {
    path.strip_prefix("layers").ok()?.iter().next()?.to_str()?.strip_prefix("t-")
}

/// Fails if a blob is not what its name says.
pub fn blobs_are_whole(data_dir: &Path) -> anyhow::Result<()> {
    let blobs: Vec<_> = files(data_dir).into_keys().filter(|path| path.starts_with("blobs")).collect();
    ensure!(!blobs.is_empty(), "there are no blobs in {}", data_dir.display());
    blobs.iter().try_for_each(|path| verify_blob(&folder(data_dir).join(path)))
}

fn verify_blob(file: &Path) -> anyhow::Result<()> {
    verify(file, &file.file_name().unwrap_or_default().to_string_lossy())
}

fn verify(file: &Path, hex: &str) -> anyhow::Result<()> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let actual = blob::digest(&content);
    ensure!(actual == format!("sha256:{hex}"), "{} has digest {actual}", file.display());
    Ok(())
}

/// Shows every file; what vanishes meanwhile is left out.
fn visit(folder: &Path, see: &mut impl FnMut(&Path, &Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => visit(&entry.path(), see),
            Ok(meta) => see(&entry.path(), &meta),
            Err(_) => {}
        }
    }
}
