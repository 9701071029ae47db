//! Builds an image from a directory: one gzip layer with its content, owned by root, in a stable
//! order.
//!
//! Equal directories give equal digests, so a repeated push sends nothing.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use oci::media_type::{OCI_CONFIG, OCI_LAYER_GZIP};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use types::Digest;

use super::content::{Blob, Content, Manifest};
use crate::failure::{Exit, Failure};

/// Configuration of the image to build.
pub struct Recipe {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// ENV, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// WORKDIR; `/` when `None`.
    pub workdir: Option<String>,
    /// USER; root when `None`.
    pub user: Option<String>,
    /// Whether files keep their owners; otherwise root owns them.
    pub keep_owners: bool,
}

/// Builds the image from `folder`.
pub fn make(folder: &Path, recipe: &Recipe) -> anyhow::Result<Content> {
    if !folder.is_dir() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("{} is not a folder", folder.display()),
            "Name the folder whose content becomes the image's root.",
        )
        .into());
    }
    if let Some(wrong) = recipe.env.iter().find(|pair| pair.split_once('=').is_none_or(|(k, _)| k.is_empty())) {
        return Err(Failure::new(Exit::Usage, format!("--env {wrong:?} is not KEY=VALUE"), "").into());
    }
    let work = tempfile::tempdir().context("cannot make a temporary folder for the layer")?;
    let file = work.path().join("layer.tar.gz");
    let (diff_id, special) = write_layer(folder, &file, recipe.keep_owners)?;
    let layer = Blob::of_file(&file)?;
    let config = Blob::of_bytes(serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": recipe.entrypoint,
            "Env": recipe.env,
            "WorkingDir": recipe.workdir.as_deref().unwrap_or("/"),
            "User": recipe.user.as_deref().unwrap_or_default(),
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id.as_str()]},
    }))?);
    let layers = vec![layer.descriptor(OCI_LAYER_GZIP)];
    let manifests = vec![Manifest::of(&oci::Manifest { config: config.descriptor(OCI_CONFIG), layers })];
    Ok(Content { blobs: vec![layer, config], manifests, left_out: special, unpacked: Some(work) })
}

/// A writer that also hashes: the digest of the uncompressed tar is the layer's diff id.
struct Hashing<W> {
    to: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Writes the layer; returns its diff id, and the sockets, fifos and devices that were left out.
fn write_layer(folder: &Path, to: &Path, keep_owners: bool) -> anyhow::Result<(Digest, Vec<String>)> {
    let file = BufWriter::new(File::create(to).with_context(|| format!("cannot write {}", to.display()))?);
    let gzip = GzBuilder::new().mtime(0).write(file, Compression::fast());
    let mut tar = tar::Builder::new(Hashing { to: gzip, hasher: Sha256::new() });
    tar.follow_symlinks(false);
    let mut layer = Layer { tar, keep_owners, linked: HashMap::new(), special: Vec::new() };
    for path in sorted_entries(folder)? {
        let name = path.strip_prefix(folder).context("entries lie in the folder")?;
        refuse_whiteout(&path)?;
        layer.append(&path, name).with_context(|| format!("cannot add {} to the layer", path.display()))?;
    }
    let Hashing { to: gzip, hasher } = layer.tar.into_inner()?;
    gzip.finish()?.flush()?;
    Ok((Digest::from_sha256(&hasher.finalize().into()), layer.special))
}

/// Rejects a name that would be a whiteout in the layer (OCI image specification, layer.md,
/// "Whiteouts").
fn refuse_whiteout(path: &Path) -> anyhow::Result<()> {
    if path.file_name().is_none_or(|name| !name.as_encoded_bytes().starts_with(b".wh.")) {
        return Ok(());
    }
    let message = format!("{} cannot be in an image: names that begin with .wh. are whiteouts", path.display());
    Err(Failure::new(Exit::Usage, message, "Rename it, or leave it out of the folder.").into())
}

struct Layer<W: Write> {
    tar: tar::Builder<W>,
    keep_owners: bool,
    /// First names of files with several hard links, by device and inode.
    linked: HashMap<(u64, u64), PathBuf>,
    /// Sockets, fifos and devices, which are left out.
    special: Vec<String>,
}

impl<W: Write> Layer<W> {
    fn append(&mut self, path: &Path, name: &Path) -> anyhow::Result<()> {
        let metadata = std::fs::symlink_metadata(path)?;
        let file_type = metadata.file_type();
        if !(file_type.is_dir() || file_type.is_symlink() || file_type.is_file()) {
            self.special.push(name.display().to_string());
            return Ok(());
        }
        if file_type.is_file() && metadata.nlink() > 1 {
            let first = self.linked.entry((metadata.dev(), metadata.ino())).or_insert_with(|| name.to_owned());
            if first != name {
                let mut header = header(&metadata, self.keep_owners);
                header.set_entry_type(tar::EntryType::Link);
                return Ok(self.tar.append_link(&mut header, name, first)?);
            }
        }
        append(&mut self.tar, path, name, header(&metadata, self.keep_owners), &metadata)
    }
}

fn header(metadata: &Metadata, keep_owners: bool) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    // Owners of files on a developer's machine have no meaning in the image; owners in a root file
    // system made by a package manager do.
    let (uid, gid) = if keep_owners { (metadata.uid(), metadata.gid()) } else { (0, 0) };
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(0);
    header
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &Path,
    name: &Path,
    mut header: tar::Header,
    metadata: &Metadata,
) -> anyhow::Result<()> {
    if metadata.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, name, std::io::empty())?;
    } else if metadata.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        tar.append_link(&mut header, name, std::fs::read_link(path)?)?;
    } else {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(metadata.len());
        tar.append_data(&mut header, name, File::open(path)?)?;
    }
    Ok(())
}

fn sorted_entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe { entrypoint: Vec::new(), env: Vec::new(), workdir: None, user: None, keep_owners: false }
    }

    /// Returns the owners of a directory's only file in the layer.
    fn owners(folder: &Path, keep_owners: bool) -> (u64, u64) {
        let layer = folder.with_extension("tar.gz");
        write_layer(folder, &layer, keep_owners).expect("written");
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&layer).expect("there")));
        let file = tar.entries().expect("a tar").next().expect("an entry").expect("whole");
        (file.header().uid().expect("a number"), file.header().gid().expect("a number"))
    }

    #[test]
    fn owners_are_roots_unless_they_are_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, file) = (dir.path().join("root"), dir.path().join("root/log"));
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(&file, b"").expect("written");
        // Only root may do this; without it, the file keeps the user's own ids.
        std::os::unix::fs::chown(&file, Some(33), Some(4)).ok();
        let there = file.metadata().expect("there");
        assert_eq!(owners(&folder, true), (there.uid().into(), there.gid().into()));
        assert_eq!(owners(&folder, false), (0, 0));
    }

    #[test]
    fn the_same_folder_gives_the_same_image() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("bin")).expect("made");
        std::fs::write(dir.path().join("bin/app"), b"program").expect("written");
        std::os::unix::fs::symlink("app", dir.path().join("bin/link")).expect("linked");
        let recipe = Recipe { entrypoint: vec!["/bin/app".to_owned()], env: vec!["A=1".to_owned()], ..recipe() };
        let (one, two) = (make(dir.path(), &recipe).expect("made"), make(dir.path(), &recipe).expect("made"));
        assert_eq!(one.manifests[0].bytes, two.manifests[0].bytes);
    }

    #[test]
    fn hard_links_stay_links_and_special_files_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, layer) = (dir.path().join("root"), dir.path().join("layer.tar.gz"));
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("a"), b"once").expect("written");
        std::fs::hard_link(folder.join("a"), folder.join("b")).expect("linked");
        std::os::unix::net::UnixListener::bind(folder.join("socket")).expect("bound");
        let (_, special) = write_layer(&folder, &layer, false).expect("written");
        assert_eq!(special, ["socket"]);
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&layer).expect("there")));
        let entries = tar.entries().expect("a tar").map(|entry| {
            let entry = entry.expect("whole");
            let link = entry.link_name().expect("a name").map(|name| name.display().to_string());
            (entry.path().expect("a name").display().to_string(), entry.size(), link)
        });
        let want = [("a".to_owned(), 4, None), ("b".to_owned(), 0, Some("a".to_owned()))];
        assert_eq!(entries.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_name_that_would_be_a_whiteout_is_refused() {
        for name in [".wh.gone", ".wh..wh..opq"] {
            let dir = tempfile::tempdir().expect("a folder");
            std::fs::write(dir.path().join(name), b"").expect("written");
            let refused = make(dir.path(), &recipe()).err().expect("refused").to_string();
            assert!(refused.contains(name) && refused.contains("whiteouts"), "{refused}");
        }
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let recipe = Recipe { env: vec!["NOPE".to_owned()], ..recipe() };
        assert!(make(dir.path(), &recipe).err().expect("refused").to_string().contains("NOPE"));
    }
}
