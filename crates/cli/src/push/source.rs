//! Detects the kind of a source (OCI layout, OCI archive, docker archive) and reads it, also from a
//! pipe.

use std::fs::File;
use std::io::{Cursor, ErrorKind, IsTerminal, Read};
use std::path::Path;

use anyhow::Context;
use oci::Compression;

use super::content::Content;
use super::{docker_archive, layout};
use crate::failure::{Exit, Failure};

/// Name of standard input as a source.
const STDIN: &str = "-";
/// Block size of tar archives.
const BLOCK_BYTES: u64 = 512;

/// Reads the image at `source`; `select` chooses one of several.
pub fn read(source: &Path, select: Option<&str>) -> anyhow::Result<Content> {
    if source == Path::new(STDIN) {
        return read_stdin(select);
    }
    if !source.exists() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("file or folder {} does not exist", source.display()),
            "Name an OCI layout (folder or archive), a docker archive, or - for one that is piped in; or make an image \
             with --from-dir.",
        )
        .into());
    }
    if source.is_dir() {
        return layout::read(source, select);
    }
    let file = File::open(source).with_context(|| format!("cannot open {}", source.display()))?;
    read_archive(file, &source.display().to_string(), select)
}

fn read_stdin(select: Option<&str>) -> anyhow::Result<Content> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let hint = "Pipe an archive in: docker save app | sampan push - app:v1";
        return Err(Failure::new(Exit::Usage, "nothing is piped into standard input", hint).into());
    }
    read_archive(stdin.lock(), "standard input", select)
}

/// Reads an archive sequentially, since it may be a pipe.
fn read_archive(archive: impl Read, name: &str, select: Option<&str>) -> anyhow::Result<Content> {
    // Blobs are sent from files, so the archive is unpacked first.
    let folder = tempfile::tempdir().context("cannot make a temporary folder for the archive")?;
    unpack(archive, name, folder.path())?;
    let mut content = if folder.path().join("index.json").is_file() {
        layout::read(folder.path(), select)?
    } else if folder.path().join("manifest.json").is_file() {
        docker_archive::read(folder.path(), select)?
    } else {
        return Err(Failure::new(
            Exit::Usage,
            format!("{name} holds neither an OCI layout nor a docker archive"),
            "Make one with `skopeo copy … oci-archive:FILE`, `podman save` or `docker save`.",
        )
        .into());
    };
    content.unpacked = Some(folder);
    Ok(content)
}

fn unpack(mut archive: impl Read, name: &str, folder: &Path) -> anyhow::Result<()> {
    let mut magic = Vec::new();
    let bytes = Compression::MAGIC_BYTES as u64;
    archive.by_ref().take(bytes).read_to_end(&mut magic).with_context(|| format!("cannot read {name}"))?;
    let compression = Compression::of(&magic);
    let whole = Cursor::new(magic).chain(archive);
    let from: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(whole).context("cannot begin to decompress")?),
        Compression::Unknown(by) => {
            let hint = "Decompress it first, and pipe it in: sampan push - app:v1";
            return Err(Failure::new(Exit::Usage, format!("{name} is compressed with {by}"), hint).into());
        }
    };
    let mut from = from;
    let mut first = Vec::new();
    from.by_ref().take(BLOCK_BYTES).read_to_end(&mut first).with_context(|| format!("cannot read {name}"))?;
    if !is_header(&first) {
        let hint = "Push an OCI layout, an archive of `docker save`, or a folder with --from-dir.";
        return Err(Failure::new(Exit::Usage, format!("{name} is not a tar archive"), hint).into());
    }
    let mut entries = tar::Archive::new(Cursor::new(first).chain(from));
    entries.set_preserve_permissions(false);
    entries.unpack(folder).map_err(|error| match error.kind() {
        // The library's message contains temporary paths and bytes of the archive.
        ErrorKind::Other | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => Failure::new(
            Exit::Usage,
            format!("{name} is not a complete tar archive"),
            "Write it again; it may be truncated.",
        )
        .into(),
        _ => anyhow::Error::from(error).context(format!("cannot unpack {name}")),
    })
}

/// Whether a block can be the first of an archive: a header with a correct checksum, or the end
/// marker.
fn is_header(block: &[u8]) -> bool {
    let whole = block.len() as u64 == BLOCK_BYTES;
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let right = || {
        let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        tar::Header::from_byte_slice(block).cksum().is_ok_and(|stored| stored == expected)
    };
    whole && (block.iter().all(|byte| *byte == 0) || right())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An archive with one file.
    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(2);
        tar.append_data(&mut header, "index.json", &b"{}"[..]).expect("memory takes all");
        tar.into_inner().expect("memory takes all")
    }

    #[test]
    fn archives_are_unpacked_with_any_compression() {
        let tar = archive();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).expect("memory takes all");
        let gzip = gzip.finish().expect("memory takes all");
        let zstd = zstd::encode_all(&tar[..], 1).expect("memory takes all");
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, b'x'][..], &zstd].concat();
        for (form, bytes) in [("tar", &tar), ("tar.gz", &gzip), ("tar.zst", &zstd), ("pzstd", &skippable)] {
            let folder = tempfile::tempdir().expect("a folder");
            unpack(&bytes[..], form, folder.path()).expect(form);
            assert_eq!(std::fs::read(folder.path().join("index.json")).expect(form), b"{}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let error = unpack(&b"BZh91AY&SY"[..], "a.tar.bz2", folder.path()).expect_err("bzip2");
        assert_eq!(error.to_string(), "a.tar.bz2 is compressed with bzip2");
        let error = unpack(&tar[..513], "cut", folder.path()).expect_err("cut off");
        assert_eq!(error.to_string(), "cut is not a complete tar archive");
        assert!(!format!("{error:#}").contains(&folder.path().display().to_string()), "{error:#}");
        for (name, bytes) in [("accounts", b"root:x:0:0:root:/root:/bin/sh\n".repeat(40)), ("empty", Vec::new())] {
            let error = unpack(&bytes[..], name, folder.path()).expect_err(name);
            assert_eq!(format!("{error:#}"), format!("{name} is not a tar archive"));
        }
    }
}
