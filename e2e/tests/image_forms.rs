//! Images in the forms that builders, archives and registries really write: each deploys, and an instance sees it whole.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::ensure;
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::{Platform, TestRegistry, deploys, walk};
use tar::EntryType;

fn image(entrypoint: &str, tars: &[Vec<u8>]) -> anyhow::Result<Image> {
    Ok(Image::new(Format::Oci, oci::config(&[entrypoint]), &Layer::stack(tars, &[Compression::Gzip])?))
}

#[tokio::test]
async fn names_from_the_root_are_entries_of_the_image() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let mut below = LayerTar::new();
    below.file("made/gone", 0o644, b"below")?;
    // As kaniko, ko and nix2container write them.
    let mut above = LayerTar::new();
    above.unchecked("/", EntryType::Directory, "", b"")?.unchecked("/made/", EntryType::Directory, "", b"")?;
    above.unchecked("/made/file", EntryType::Regular, "", b"made")?;
    above.unchecked("/made/.wh.gone", EntryType::Regular, "", b"")?;
    above.unchecked("/again", EntryType::Link, "/hello", b"")?;
    let image = image("/again", &[layer_tar::hello()?, below.finish()?, above.finish()?])?;
    deploys::good(&platform, "absolute", &registry.add("absolute", &image)).await?;
    let seen = walk::of_instance(&platform, "absolute").await?;
    ensure!(seen.contains_key("made/file") && seen.contains_key("again"), "{:?}", seen.keys());
    ensure!(!seen.contains_key("made/gone"), "the whiteout was not obeyed");
    platform.stop().await
}
