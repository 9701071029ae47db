//! Tells what a source is (OCI layout, OCI archive, docker archive) and reads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;

use super::content::Content;
use super::{docker_archive, layout};
use crate::failure::{Exit, Failure};

/// First bytes of a gzip stream (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads the image at `source`; `select` chooses one where it holds several.
pub fn read(source: &Path, select: Option<&str>) -> anyhow::Result<Content> {
    if !source.exists() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no file or folder {}", source.display()),
            "Name an OCI layout (folder or archive) or a docker archive; or make an image with --from-dir.",
        )
        .into());
    }
    if source.is_dir() {
        return layout::read(source, select);
    }
    // Blobs are sent from files, so an archive is laid out first.
    let folder = tempfile::tempdir().context("cannot make a temporary folder for the archive")?;
    unpack(source, folder.path())?;
    let mut content = if folder.path().join("index.json").is_file() {
        layout::read(folder.path(), select)?
    } else if folder.path().join("manifest.json").is_file() {
        docker_archive::read(folder.path(), select)?
    } else {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} holds neither an OCI layout nor a docker archive", source.display()),
            "Make one with `skopeo copy … oci-archive:FILE`, `podman save` or `docker save`.",
        )
        .into());
    };
    content.unpacked = Some(folder);
    Ok(content)
}

fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<()> {
    let open = || File::open(archive).with_context(|| format!("cannot open {}", archive.display()));
    let mut magic = [0; 2];
    let read = open()?.read(&mut magic).with_context(|| format!("cannot read {}", archive.display()))?;
    let gzip = read == magic.len() && magic == GZIP_MAGIC;
    let from: Box<dyn Read> =
        if gzip { Box::new(flate2::read::MultiGzDecoder::new(open()?)) } else { Box::new(open()?) };
    let mut entries = tar::Archive::new(from);
    entries.set_preserve_permissions(false);
    let what = || {
        Failure::new(
            Exit::Usage,
            format!("{} is not a whole tar archive", archive.display()),
            "Write it again; it may have been cut short.",
        )
    };
    entries.unpack(folder).with_context(what)
}
