//! `kill -9` during pulls and indexing, and many concurrent deploys of the same image: partial
//! files are never used or left behind, and nothing is transferred twice.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::ensure;
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::registry::Reply;
use e2e::{Platform, TestRegistry, blob, deploys, disk, rootfs_listing, wait};
use serde_json::json;

/// Size of the file in the image whose deploy is killed; it compresses to a hundredth of that.
const FILE_BYTES: usize = 192 << 20;
/// Length of each distinct part of the file.
const PIECE_BYTES: usize = 1 << 20;

/// Content that differs in each megabyte, and compresses well.
fn content() -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    for (number, piece) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
        piece.fill(u8::try_from(number % 251).expect("below 251"));
        // Partly incompressible, so that the download is long enough to interrupt.
        let mut state = number as u64 + 1;
        for chunk in piece[..10_000].chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
    }
    bytes
}

/// The static server below the large file.
struct Large {
    image: Image,
    layer: Layer,
    sha256: String,
}

fn large() -> anyhow::Result<Large> {
    let content = content();
    let mut tar = LayerTar::new();
    tar.file("large", 0o644, &content)?;
    let layer = Layer::new(&tar.finish()?, Compression::Zstd)?;
    let hello = Layer::new(&layer_tar::hello()?, Compression::Gzip)?;
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &[hello, layer.clone()]);
    let sha256 = blob::digest(&content).trim_start_matches("sha256:").to_owned();
    Ok(Large { image, layer, sha256 })
}

/// Fails unless the function's instance has the complete file, and the data directory has no
/// drafts.
async fn is_whole(platform: &Platform, function: &str, large: &Large) -> anyhow::Result<()> {
    let seen = rootfs_listing::of_instance(platform, function).await?;
    let found = seen.get("large").and_then(|fields| fields["sha256"].as_str());
    ensure!(found == Some(&large.sha256), "the file is {found:?}");
    disk::no_drafts(platform).await?;
    disk::blobs_are_whole(&platform.data_dir())
}

#[tokio::test]
async fn an_interrupted_pull_is_finished_after_a_restart() -> anyhow::Result<()> {
    let large = large()?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("large", &large.image);
    let (digest, size) = (large.layer.digest.clone(), large.layer.size);
    let mut platform = Platform::start().await?;
    let mut sent = 0;
    for (round, percent) in [10, 50, 95].into_iter().enumerate() {
        // Part of the blob is sent; the rest is withheld until the platform is gone.
        let (held, part) = (digest.clone(), size * percent / 100);
        registry.behave(move |request| if request.is_of(&held) { Reply::Hold(part) } else { Reply::Good });
        if round == 0 {
            deploys::begin(&platform, "large", &reference).await?;
        } else {
            // Not earlier: a restart resumes the pull immediately.
            platform = platform.restart().await?;
        }
        registry.wait_sent(&digest, sent + part).await?;
        platform.kill().await?;
        sent = registry.sent(&digest);
    }
    registry.recover();
    let platform = platform.restart().await?;
    platform.api.wait_status("large", &["Active"]).await?;
    is_whole(&platform, "large", &large).await?;
    // Another deploy only resolves the tag.
    let sent = registry.sent(&digest);
    deploys::good(&platform, "again", &reference).await?;
    is_whole(&platform, "again", &large).await?;
    assert_eq!(registry.sent(&digest), sent, "the layer was transferred again");
    platform.stop().await
}

#[tokio::test]
async fn a_kill_during_indexing_leaves_no_partial_layer_in_use() -> anyhow::Result<()> {
    let large = large()?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("large", &large.image);
    let mut platform = Platform::start().await?;
    // Files on disk grow during indexing; a slow registry prolongs it.
    let bytes_per_s = large.layer.size / 2;
    registry.behave(move |request| if request.is_blob() { Reply::Slow(bytes_per_s) } else { Reply::Good });
    let mut interrupted = 0;
    for (round, percent) in [20, 60, 90].into_iter().enumerate() {
        let function = format!("large-{round}");
        deploys::begin(&platform, &function, &reference).await?;
        let enough = FILE_BYTES as u64 * percent / 100;
        let data_dir = platform.data_dir();
        wait::until("the layer is partly indexed", || async { Ok((disk::bytes(&data_dir) >= enough).then_some(())) })
            .await?;
        let found = platform.api.call("GetFunction", json!({"FunctionName": function})).await?;
        interrupted += usize::from(found["Status"] != "Active");
        platform.kill().await?;
        platform = platform.restart().await?;
        // A restart removes leftovers first, so the next round starts clean.
        platform.api.call("DeleteFunction", json!({"FunctionName": function})).await?;
    }
    assert!(interrupted >= 1, "no kill came before the deploy was over");
    registry.recover();
    deploys::good(&platform, "large", &reference).await?;
    is_whole(&platform, "large", &large).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_kill_right_after_a_deploy_loses_nothing() -> anyhow::Result<()> {
    let large = large()?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("large", &large.image);
    let mut platform = Platform::start().await?;
    deploys::good(&platform, "large", &reference).await?;
    platform.kill().await?;
    let asked = registry.requests().len();
    platform = platform.restart().await?;
    is_whole(&platform, "large", &large).await?;
    assert_eq!(registry.requests().len(), asked, "the registry was asked for an image that is here");
    platform.stop().await
}

#[tokio::test]
async fn ten_concurrent_deploys_fetch_each_blob_once() -> anyhow::Result<()> {
    let large = large()?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("large", &large.image);
    let platform = Platform::start_with(&[("SAMPAN_DEPLOY__PARALLEL_MAX", "10")]).await?;
    // The blob is withheld until all ten deploys wait for it.
    let (digest, half) = (large.layer.digest.clone(), large.layer.size / 2);
    registry.behave(move |request| if request.is_of(&digest) { Reply::Hold(half) } else { Reply::Good });
    for number in 0..10 {
        deploys::begin(&platform, &format!("f{number}"), &reference).await?;
    }
    wait::until("ten deploys have asked what the tag means", || async {
        // Some deploys request the manifest again: requests are counted by kind.
        let asked = registry.requests();
        let alike = |head| asked.iter().filter(|request| request.is_tag() && request.head == head).count();
        Ok((alike(true).max(alike(false)) >= 10).then_some(()))
    })
    .await?;
    registry.recover();
    for number in 0..10 {
        platform.api.wait_status(&format!("f{number}"), &["Active"]).await?;
    }
    for (digest, blob) in &large.image.blobs {
        assert_eq!(registry.requests_for(digest).len(), 1, "{digest} was fetched more than once");
        assert_eq!(registry.sent(digest), blob.size);
    }
    is_whole(&platform, "f0", &large).await?;
    is_whole(&platform, "f9", &large).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_shared_base_is_transferred_once() -> anyhow::Result<()> {
    let large = large()?;
    let registry = TestRegistry::start().await?;
    let platform = Platform::start().await?;
    let mut own = Vec::new();
    for number in 0..2 {
        let mut tar = LayerTar::new();
        tar.file("own", 0o644, format!("of image {number}").as_bytes())?;
        own.push(Layer::new(&tar.finish()?, Compression::Plain)?);
    }
    let hello = Layer::new(&layer_tar::hello()?, Compression::Gzip)?;
    for (number, own) in own.iter().enumerate() {
        let layers = [large.layer.clone(), hello.clone(), own.clone()];
        let name = format!("image-{number}");
        let reference = registry.add(&name, &Image::new(Format::Oci, oci::config(&["/hello"]), &layers));
        let before = disk::bytes(&platform.data_dir());
        deploys::good(&platform, &name, &reference).await?;
        let grown = disk::bytes(&platform.data_dir()) - before;
        ensure!(number == 0 || grown < FILE_BYTES as u64 / 10, "the shared base takes up {grown} bytes again");
        let text = platform.get(&name, "/read?/own").await?.text().await?;
        assert_eq!(text, format!("of image {number}"));
        is_whole(&platform, &name, &large).await?;
    }
    for layer in [&large.layer, &hello] {
        assert_eq!(registry.sent(&layer.digest), layer.size, "the shared base was transferred again");
    }
    platform.stop().await
}
