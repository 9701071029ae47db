//! Inspects the platform's image files on disk: names, allocated bytes, and digests. Follows the
//! layout documented in `crates/node/image`.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::{Platform, blob, wait};

/// Files below the images' directory: relative paths, and allocated bytes.
pub type Files = BTreeMap<PathBuf, u64>;

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// All files of images.
pub fn files(data_dir: &Path) -> Files {
    let (root, mut found) = (folder(data_dir), Files::new());
    visit(&root, &mut |path, meta| {
        let below = path.strip_prefix(&root).unwrap_or(path);
        found.insert(below.to_owned(), meta.blocks() * 512);
    });
    found
}

/// Allocated bytes of all files of images.
pub fn bytes(data_dir: &Path) -> u64 {
    files(data_dir).values().sum()
}

/// Drafts: files being written, or left by an interrupted write.
pub fn drafts(data_dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder(data_dir).join("drafts")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Waits until there are no drafts.
pub async fn no_drafts(platform: &Platform) -> anyhow::Result<()> {
    wait::until("no drafts are left", || async { Ok(drafts(&platform.data_dir()).is_empty().then_some(())) }).await
}

/// Waits until a failed deploy has left only verified content, which serves as a cache: blobs, and
/// layers by diff id.
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

/// The digest of a file's layer.
fn layer_of(path: &Path) -> Option<&str> {
    path.strip_prefix("layers").ok()?.iter().next()?.to_str()?.strip_prefix("t-")
}

/// Fails if a blob's digest differs from its name.
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

/// Visits every file; skips files that are removed during the walk.
fn visit(folder: &Path, see: &mut impl FnMut(&Path, &Metadata)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => visit(&entry.path(), see),
            Ok(meta) => see(&entry.path(), &meta),
            Err(_) => {}
        }
    }
}
