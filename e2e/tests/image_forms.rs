//! Images in the variants that builders, archives and registries produce: each deploys, and an
//! instance sees all of its content.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::process::Stdio;

use anyhow::{Context, ensure};
use e2e::blob::{self, Blob};
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Document, Format, Image, Layer};
use e2e::{Platform, TestRegistry, deploys, rootfs_listing, tools};
use serde_json::{Value, json};
use tar::EntryType;
use tokio::io::AsyncWriteExt;

fn image(entrypoint: &str, tars: &[Vec<u8>]) -> anyhow::Result<Image> {
    Ok(Image::new(Format::Oci, oci::config(&[entrypoint]), &Layer::stack(tars, &[Compression::Gzip])?))
}

#[tokio::test]
async fn absolute_entry_names_are_accepted() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let mut below = LayerTar::new();
    below.file("made/gone", 0o644, b"below")?;
    // As written by kaniko, ko and nix2container.
    let mut above = LayerTar::new();
    above.unchecked("/", EntryType::Directory, "", b"")?.unchecked("/made/", EntryType::Directory, "", b"")?;
    above.unchecked("/made/file", EntryType::Regular, "", b"made")?;
    above.unchecked("/made/.wh.gone", EntryType::Regular, "", b"")?;
    above.unchecked("/again", EntryType::Link, "/hello", b"")?;
    let image = image("/again", &[layer_tar::hello()?, below.finish()?, above.finish()?])?;
    deploys::good(&platform, "absolute", &registry.add("absolute", &image)).await?;
    let seen = rootfs_listing::of_instance(&platform, "absolute").await?;
    ensure!(seen.contains_key("made/file") && seen.contains_key("again"), "{:?}", seen.keys());
    ensure!(!seen.contains_key("made/gone"), "the whiteout was not obeyed");
    platform.stop().await
}

#[tokio::test]
async fn zstd_layers_may_have_skippable_frames() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let tar = layer_tar::hello()?;
    let (front, back) = tar.split_at(tar.len() / 2);
    // As written by pzstd: before each frame a skippable one with its length (RFC 8878, 3.1.2).
    let mut stream = Vec::new();
    for part in [front, back] {
        let frame = oci::compress(part, Compression::Zstd)?;
        stream.extend([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]);
        stream.extend(u32::try_from(frame.len())?.to_le_bytes());
        stream.extend(frame);
    }
    let layer = Layer::of_blob(Blob::new(stream), &blob::digest(&tar), Compression::Zstd);
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &[layer]);
    deploys::good(&platform, "parallel", &registry.add("parallel", &image)).await?;
    ensure!(platform.get("parallel", "/").await?.status().is_success());
    platform.stop().await
}

#[tokio::test]
async fn files_of_unmapped_owners_are_readable_in_every_kind_of_rootfs() -> anyhow::Result<()> {
    let mut tar = LayerTar::new();
    tar.owned("app/", 0o700, 345_018, b"")?.owned("app/key", 0o600, 1_000_660_000, b"secret")?;
    tar.owned("app/last", 0o600, 65_534, b"secret")?.owned("app/next", 0o600, 65_535, b"secret")?;
    let image = image("/hello", &[layer_tar::hello()?, tar.finish()?])?;
    for rootfs in ["auto", "erofs-loop", "files"] {
        let platform = Platform::start_with(&[("SAMPAN_IMAGE__ROOTFS", rootfs)]).await?;
        let registry = TestRegistry::start().await?;
        deploys::good(&platform, "owners", &registry.add("owners", &image)).await?;
        let seen = rootfs_listing::of_instance(&platform, "owners").await?;
        let sha256 = blob::digest(b"secret").trim_start_matches("sha256:").to_owned();
        for (path, owner) in [("app", 65_535), ("app/key", 65_535), ("app/last", 65_534), ("app/next", 65_535)] {
            let fields = seen.get(path).with_context(|| format!("{rootfs}: {path} is not to be seen"))?;
            ensure!(fields["uid"] == owner && fields["gid"] == owner, "{rootfs}: {path} {fields:?}");
            ensure!(path == "app" || fields["sha256"] == sha256, "{rootfs}: {path} {fields:?}");
        }
        platform.stop().await?;
    }
    Ok(())
}

/// An index of one image with each of these variants of linux/amd64.
fn variants(image: &Image, variants: &[&str]) -> Image {
    let manifest = &image.documents[0];
    let entry = |variant: &&str| {
        json!({"mediaType": manifest.media_type, "digest": manifest.blob.digest, "size": manifest.blob.size,
            "platform": {"os": "linux", "architecture": "amd64", "variant": variant}})
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    let manifests: Vec<Value> = variants.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let index = Document { media_type, blob: Blob::new(index.to_string()) };
    Image { documents: vec![index, manifest.clone()], blobs: image.blobs.clone() }
}

#[tokio::test]
async fn the_best_supported_platform_variant_is_chosen() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let plain = image("/hello", &[layer_tar::hello()?])?;
    deploys::good(&platform, "variant", &registry.add("variant", &variants(&plain, &["v9", "v2"]))).await?;
    ensure!(platform.get("variant", "/").await?.status().is_success());
    let reason = deploys::bad(&platform, "later", &registry.add("later", &variants(&plain, &["v9"]))).await?;
    reason.says("ImagePlatformMismatch", &["linux/amd64/v9", "this processor runs variants up to v"])?;
    let mut config = oci::config(&["/hello"]);
    for field in ["os", "architecture"] {
        config.as_object_mut().context("a config")?.remove(field);
    }
    let layers = Layer::stack(&[layer_tar::hello()?], &[Compression::Gzip])?;
    let silent = registry.add("silent", &Image::new(Format::Oci, config, &layers));
    deploys::good(&platform, "silent", &silent).await?;
    ensure!(platform.get("silent", "/").await?.status().is_success());
    platform.stop().await
}

#[tokio::test]
async fn an_archive_of_one_platform_of_several_is_pushed_also_through_a_pipe() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layers = Layer::stack(&[layer_tar::hello()?], &[Compression::Gzip])?;
    // Its first entry, for another platform, refers to an absent manifest.
    let image = Image::new(Format::OciIndex, oci::config(&["/hello"]), &layers);
    let layout = platform.work_dir().join("partial");
    image.write_layout(&layout, "v1")?;
    let mut tar = LayerTar::new();
    tar.folder(".", &layout)?;
    let tar = tar.finish()?;
    for (form, compression) in [("tar", Compression::Plain), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let name = format!("{form}:v1");
        let mut push = platform.cli(&["push", "-", &name]);
        let mut child = push.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().context("a pipe")?;
        let archive = oci::compress(&tar, compression)?;
        let written = async {
            pipe.write_all(&archive).await?;
            drop(pipe);
            anyhow::Ok(())
        };
        let (written, said) = tokio::join!(written, tools::output_of(child));
        let said = said?;
        let errors = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "{form}: {errors}");
        written?;
        ensure!(errors.contains("linux/arm64"), "{form}: what is left out is not named: {errors}");
        platform.deploy(form, &name, &[]).await?;
        ensure!(platform.get(form, "/").await?.status().is_success());
    }
    platform.stop().await
}

#[tokio::test]
async fn a_blob_is_verified_even_when_its_layer_is_known() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let good = Layer::stack(&[layer_tar::hello()?], &[Compression::Gzip])?;
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &good);
    deploys::good(&platform, "good", &registry.add("good", &image)).await?;
    let bad = Layer::of_blob(Blob::new(&b"BZh91AY&SY and so on"[..]), &good[0].diff_id, Compression::Gzip);
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &[bad]);
    let reason = deploys::bad(&platform, "bad", &registry.add("bad", &image)).await?;
    reason.says("ImageInvalid", &["bzip2"])?;
    platform.stop().await
}
