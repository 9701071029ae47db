//! An image with every unusual entry that tools produce: an instance sees the same as `umoci
//! unpack`.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::Path;

use anyhow::{Context, ensure};
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::rootfs_listing::{self, Listing};
use e2e::{Platform, TestRegistry, blob, deploys, tools};

/// Content whose length is not a multiple of a tar block.
const LAST_FILE: &[u8] = &[b'x'; 700];

/// Tars of the unusual layers, lowest first, and of the static server above them.
async fn odd_tars(work: &Path, flags: &[&str]) -> anyhow::Result<Vec<Vec<u8>>> {
    let script = tools::workspace().join("e2e/clients/odd_layers.py");
    tools::run_ok(tools::command("python3").arg(script).arg(work).args(flags)).await?;
    let mut tars = Vec::new();
    for place in 1..=3 {
        tars.push(std::fs::read(work.join(format!("layer-{place}.tar")))?);
    }
    tars.push(without_end()?);
    tars.push(layer_tar::hello()?);
    Ok(tars)
}

/// A layer as `umoci insert` writes it: without end-of-archive blocks, and without the padding of
/// its last file.
fn without_end() -> anyhow::Result<Vec<u8>> {
    let mut tar = LayerTar::new();
    tar.file("without-end", 0o644, LAST_FILE)?;
    let mut tar = tar.finish()?;
    let end = tar.windows(LAST_FILE.len()).position(|bytes| bytes == LAST_FILE).context("the file is in it")?;
    tar.truncate(end + LAST_FILE.len());
    Ok(tar)
}

fn image(tars: &[Vec<u8>], compressions: &[Compression]) -> anyhow::Result<Image> {
    Ok(Image::new(Format::Oci, oci::config(&["/hello"]), &Layer::stack(tars, compressions)?))
}

#[tokio::test]
async fn an_instance_sees_unusual_entries_as_umoci_unpacks_them() -> anyhow::Result<()> {
    sees_as_umoci("auto").await
}

#[tokio::test]
async fn unusual_entries_are_the_same_on_loop_devices() -> anyhow::Result<()> {
    sees_as_umoci("erofs-loop").await
}

#[tokio::test]
async fn unusual_entries_are_the_same_as_plain_files() -> anyhow::Result<()> {
    sees_as_umoci("files").await
}

/// Deploys the image on a platform with this kind of root file system, and compares the listings.
async fn sees_as_umoci(rootfs: &str) -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_IMAGE__ROOTFS", rootfs)]).await?;
    let registry = TestRegistry::start().await?;
    let tars = odd_tars(platform.work_dir(), &[]).await?;
    let mixed = image(&tars, &[Compression::Gzip, Compression::Zstd, Compression::Plain])?;
    deploys::good(&platform, "odd", &registry.add("odd", &mixed)).await?;
    let seen = rootfs_listing::of_instance(&platform, "odd").await?;
    // umoci does not support sparse files in the old GNU format.
    let tars = odd_tars(platform.work_dir(), &["whole"]).await?;
    let unpacked = rootfs_listing::of_umoci(&image(&tars, &[Compression::Plain])?, platform.work_dir()).await?;
    spot_checks(&seen)?;
    // Directories without an entry have no time in the archive; umoci uses the time of unpacking.
    let implied = ["implied", "implied/a", "implied/a/b"];
    rootfs_listing::same(
        rootfs_listing::without(seen, "mtime", &implied),
        rootfs_listing::without(unpacked, "mtime", &implied),
    )?;
    tools::run_ok(&mut platform.cli(&["scrub"])).await?;
    platform.stop().await
}

/// Checks properties required by the specifications, independent of another tool.
fn spot_checks(seen: &Listing) -> anyhow::Result<()> {
    let field = |path: &str, name: &str| {
        let value = seen.get(path).and_then(|fields| fields.get(name));
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let sha256 = |content: &[u8]| blob::digest(content).trim_start_matches("sha256:").to_owned();
    let expected = [
        ("times/before-1970", "mtime", "-86400.000000000"),
        ("times/beyond-octal", "mtime", "9000000000.000000000"),
        ("times/nanoseconds", "mtime", "1700000000.123456789"),
        // The walker prints seconds and nanoseconds, so -1.5 s is -2 s plus 500,000,000 ns.
        ("times/half-before-1970", "mtime", "-2.500000000"),
        ("modes/4755", "mode", "4755"),
        ("devices/large", "rdev", "4000:1000000"),
        ("links/a", "nlink", "4"),
        ("usr/lib/below", "nlink", "2"),
        ("lib", "target", "usr/lib"),
        ("usr/lib/through-symlink", "sha256", &sha256(b"through")),
        ("names/latin-%E9%FF", "sha256", &sha256(b"latin")),
        ("again-late", "sha256", &sha256(b"upper")),
        ("twice", "sha256", &sha256(b"second and longer")),
        ("without-end", "sha256", &sha256(LAST_FILE)),
        ("sparse/old-gnu", "size", "200001"),
        ("sparse/old-gnu-hole", "sha256", &sha256(&[0; 200_001])),
    ];
    for (path, name, value) in expected {
        let found = field(path, name);
        ensure!(found.as_deref() == Some(value), "{path}: {name} is {found:?}, not {value}");
    }
    for gone in ["gone/file", "gone-directory/below", "opaque/old", "opaque-late/old", "only-middle", "reborn/inside"] {
        ensure!(!seen.contains_key(gone), "{gone} was removed by an upper layer");
    }
    for format in ["pax-0.0", "pax-0.1", "pax-1.0"] {
        let (old, new) = (field("sparse/old-gnu", "sha256"), field(&format!("sparse/{format}"), "sha256"));
        ensure!(old.is_some() && old == new, "{format} has other content than the old format");
    }
    Ok(())
}
