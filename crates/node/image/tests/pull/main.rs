//! Pulling from a registry that is good, wrong, slow, or gone. Needs root, as unpacking does.

mod credentials;
mod faults;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use image::{Error, Images, Step};
use registry_client::{Credential, CredentialError, CredentialRequest, Credentials, Grant};
use serde_json::json;
use support::registry::{Access, Fault, Registry};
use support::{
    INDEX, MANIFEST, TestImage, config, digest, image, image_for, index, layer, layer_of, noise, request, store,
    store_with,
};
use types::RunStatus;

fn hello() -> TestImage {
    image(&[layer(&[("etc/", ""), ("etc/name", "low")]), layer(&[("hello", &noise(200_000, 7))])])
}

fn blob_end(image: &TestImage, layer: usize) -> String {
    format!("blobs/{}", digest(&image.layers[layer].blob))
}

#[tokio::test]
async fn a_pulled_image_is_on_disk_and_pinned_to_what_its_tag_meant() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let prepared = store.prepare(&reference).await.expect("a good image");
    assert_eq!((&prepared.digest, prepared.layers), (&image.digest(), 2));
    assert_eq!(prepared.size_bytes, image.blobs().iter().map(|b| b.len() as u64).sum::<u64>());
    assert_eq!((prepared.run.cmd.as_slice(), prepared.run.user.as_str()), (&["/hello".to_owned()][..], "7"));
    assert_eq!(store.images.content().pinned("test/owner"), Some(image.digest()));
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    assert_eq!(rootfs.lower_dirs.len(), 1, "all layers are one");
    assert!(rootfs.lower_dirs[0].join("hello").exists() && rootfs.lower_dirs[0].join("etc/name").exists());
    store.assert_clean().await;
    // The tag moves on; what was prepared stays as it is.
    let other = support::image(&[layer(&[("hello", "other")])]);
    registry.serve("v1", &other);
    let pinned = format!("{reference}@{}", image.digest());
    assert_eq!(store.prepare(&pinned).await.expect("still served").digest, image.digest());
    assert_eq!(store.prepare(&reference).await.expect("moved").digest, other.digest());
}

#[tokio::test]
async fn an_image_that_is_prepared_is_not_transferred_again() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    store.prepare(&reference).await.expect("a good image");
    registry.requests();
    store.prepare(&reference).await.expect("there already");
    assert_eq!(registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
    let by_digest = format!("{reference}@{}", image.digest());
    drop(registry);
    store.prepare(&by_digest).await.expect("needs no registry");
}

#[tokio::test]
async fn content_that_was_pushed_is_not_transferred() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let _lease = store.images.content().lease();
    store.push(&image).await;
    store.prepare(&reference).await.expect("there already");
    assert_eq!(registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
}

#[tokio::test]
async fn an_index_gives_the_image_for_this_platform_under_the_digest_of_the_index() {
    let (store, registry) = (store().await, Registry::start().await);
    let (right, wrong) = (hello(), image_for("linux", "arm64", &[layer(&[("arm", "")])]));
    registry.serve("right", &right);
    let bytes = index(&[("linux", "arm64", &wrong), ("linux", "amd64", &right)]);
    let reference = registry.manifest("both", INDEX, bytes.clone());
    let prepared = store.prepare(&reference).await.expect("a good image");
    assert_eq!(prepared.digest, digest(&bytes));
    assert!(store.images.rootfs(&prepared.digest).await.expect("prepared").lower_dirs[0].join("hello").exists());
    let reference = registry.manifest("arm", INDEX, index(&[("linux", "arm64", &wrong)]));
    let error = store.prepare(&reference).await.expect_err("another platform");
    assert_eq!(error.code(), "ImagePlatformMismatch");
    assert!(error.report().contains("linux/arm64") && error.report().contains("linux/amd64"), "{}", error.report());
    let error = store.prepare(&registry.serve("plain-arm", &wrong)).await.expect_err("another platform");
    assert_eq!(error.code(), "ImagePlatformMismatch");
}

/// An index of these images without any platform.
fn index_without_platforms(images: &[&TestImage]) -> Bytes {
    let entries: Vec<_> = images.iter().map(|image| ("", "", *image)).collect();
    let mut index: serde_json::Value = serde_json::from_slice(&index(&entries)).expect("JSON");
    for entry in index["manifests"].as_array_mut().expect("a list") {
        entry.as_object_mut().expect("an entry").remove("platform");
    }
    Bytes::from(index.to_string())
}

#[tokio::test]
async fn of_entries_without_a_platform_the_first_whose_config_fits_is_taken() {
    let (store, registry) = (store().await, Registry::start().await);
    let (right, arm) = (hello(), image_for("linux", "arm64", &[layer(&[("arm", "")])]));
    let (power, mut chart) = (image_for("linux", "ppc64le", &[layer(&[("power", "")])]), hello());
    chart.manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    for (tag, image) in [("right", &right), ("arm", &arm), ("power", &power), ("chart", &chart)] {
        registry.serve(tag, image);
    }
    let bytes = index_without_platforms(&[&arm, &chart, &right, &power]);
    let prepared = store.prepare(&registry.manifest("all", INDEX, bytes)).await.expect("the third fits");
    let store = store.restart(config()).await;
    assert!(store.images.rootfs(&prepared.digest).await.expect("prepared").lower_dirs[0].join("hello").exists());
    let blobs = registry.requests();
    assert!(!blobs.iter().any(|line| line.contains(&blob_end(&arm, 0))), "no layer of another platform: {blobs:?}");
    let bytes = index_without_platforms(&[&arm, &chart, &power]);
    let error = store.prepare(&registry.manifest("others", INDEX, bytes)).await.expect_err("none fits");
    assert_eq!(error.code(), "ImagePlatformMismatch");
    assert!(error.report().contains("linux/arm64, linux/ppc64le"), "{}", error.report());
    let error = store.prepare(&registry.manifest("charts", INDEX, index_without_platforms(&[&chart]))).await;
    assert_eq!(error.expect_err("no image").code(), "ImageInvalid");
}

#[tokio::test]
async fn the_search_among_entries_without_a_platform_ends() {
    let (store, registry) = (store().await, Registry::start().await);
    let others: Vec<_> = (0..64).map(|i| image_for("linux", &format!("cpu{i}"), &[layer(&[("a", "1")])])).collect();
    for (i, image) in others.iter().enumerate() {
        registry.serve(&format!("other{i}"), image);
    }
    let reference = registry.manifest("many", INDEX, index_without_platforms(&others.iter().collect::<Vec<_>>()));
    let error = store.prepare(&reference).await.expect_err("too many");
    assert!(error.report().contains("first 64 documents"), "{}", error.report());
}

#[tokio::test]
async fn preparations_at_the_same_time_transfer_each_blob_once() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let all = (0..8).map(|i| store.images.prepare(request(&reference, &format!("owner/{i}"))));
    for prepared in futures_util::future::join_all(all).await {
        assert_eq!(prepared.expect("a good image").digest, image.digest());
    }
    let mut blobs: Vec<_> = registry.requests().into_iter().filter(|r| r.contains("/blobs/")).collect();
    blobs.sort();
    let asked = blobs.len();
    blobs.dedup();
    assert_eq!((asked, blobs.len()), (3, 3));
    store.assert_clean().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_others_their_image() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), [Fault::Cut(1000), Fault::Cut(1000)]);
    let images: Images = store.images.clone();
    let first = tokio::spawn({
        let request = request(&reference, "owner/1");
        async move { images.prepare(request).await }
    });
    let second = store.images.prepare(request(&reference, "owner/2"));
    tokio::pin!(second);
    // The first has begun as soon as the second, which waits for the same blobs, is polled.
    let prepared = tokio::select! {
        biased;
        prepared = &mut second => prepared,
        () = tokio::task::yield_now() => {
            first.abort();
            second.await
        }
    };
    prepared.expect("a good image");
}

#[tokio::test]
async fn a_layer_comes_once_for_each_blob_that_holds_it() {
    let (store, registry) = (store().await, Registry::start().await);
    let gzip = layer(&[("a", "1")]);
    store.prepare(&registry.serve("gzip", &image(std::slice::from_ref(&gzip)))).await.expect("a good image");
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.blob[..]), &mut plain).expect("gzip");
    let plain = layer_of(&plain, &gzip.diff_id);
    let blobs = |registry: &Registry| registry.requests().iter().filter(|line| line.contains("/blobs/")).count();
    blobs(&registry);
    store.prepare(&registry.serve("plain", &image(std::slice::from_ref(&plain)))).await.expect("a good image");
    assert_eq!(blobs(&registry), 1, "the layer in its other form");
    let store = store.restart(config()).await;
    for (tag, form) in [("gzip", gzip), ("plain", plain)] {
        store.prepare(&registry.serve(tag, &image(&[form, layer(&[("b", tag)])]))).await.expect("a good image");
        assert_eq!(blobs(&registry), 2, "the config and the other layer");
    }
}

#[tokio::test]
async fn an_index_of_variants_gives_one_that_the_processor_runs() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = image(&[layer(&[("a", "1")])]);
    registry.serve("manifest", &image);
    let with = |variant: &str| {
        let mut index: serde_json::Value = serde_json::from_slice(&index(&[("linux", "amd64", &image)])).expect("JSON");
        index["manifests"][0]["platform"]["variant"] = variant.into();
        Bytes::from(index.to_string())
    };
    // Every machine that runs the tests has the second level.
    let reference = registry.manifest("v2", INDEX, with("v2"));
    let prepared = store.prepare(&reference).await.expect("it runs");
    store.images.rootfs(&prepared.digest).await.expect("prepared");
    let error = store.prepare(&registry.manifest("v9", INDEX, with("v9"))).await.expect_err("no such processor");
    assert_eq!(error.code(), "ImagePlatformMismatch");
    assert!(error.report().contains("linux/amd64/v9"), "{}", error.report());
}

#[tokio::test]
async fn a_config_without_a_platform_is_for_this_one() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = image_for("", "", &[layer(&[("a", "1")])]);
    store.prepare(&registry.serve("v1", &image)).await.expect("taken as linux/amd64");
}

#[tokio::test]
async fn images_beyond_a_limit_are_refused_before_anything_is_transferred() {
    let (registry, image) = (Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let limits = [
        ("image_bytes_max", image::Config { image_bytes_max: 1000, ..config() }),
        ("layers_max", image::Config { layers_max: 1, ..config() }),
        ("config_bytes_max", image::Config { config_bytes_max: 10, ..config() }),
        ("manifest_bytes_max", image::Config { manifest_bytes_max: 10, ..config() }),
    ];
    for (key, config) in limits {
        let error = store_with(config).await.prepare(&reference).await.expect_err(key);
        assert_eq!(error.code(), "ImageTooLarge");
        assert!(error.report().contains(key), "{}", error.report());
        assert!(registry.requests().iter().all(|r| !r.contains("/blobs/")));
    }
    let store = store_with(image::Config { unpacked_bytes_max: 250_000, ..config() }).await;
    let bomb = support::image(&[layer(&[("zeros", &"0".repeat(4 << 20))])]);
    let error = store.prepare(&registry.serve("bomb", &bomb)).await.expect_err("a bomb");
    assert_eq!(error.code(), "ImageTooLarge");
    assert_eq!(store.list("layers"), Vec::<String>::new());
    store.assert_clean().await;
    // Each layer fits, both together do not.
    let parts = [layer(&[("a", &noise(200_000, 1))]), layer(&[("b", &noise(200_000, 2))])];
    let error = store.prepare(&registry.serve("parts", &support::image(&parts))).await.expect_err("too large");
    assert_eq!(error.code(), "ImageTooLarge");
    store.assert_clean().await;
}

#[tokio::test]
async fn images_that_cannot_run_are_refused_by_kind() {
    let (store, registry) = (store().await, Registry::start().await);
    let mut foreign = hello();
    foreign.manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let reference = registry.serve("foreign", &foreign);
    registry.fail(&blob_end(&foreign, 0), [Fault::Status(404, None)]);
    let error = store.prepare(&reference).await.expect_err("a foreign layer that is nowhere");
    assert!(error.report().contains("not distributed") && error.code() == "ImageInvalid", "{}", error.report());
    let old = json!({"schemaVersion": 1, "name": "app", "fsLayers": []}).to_string();
    let reference = registry.manifest("old", "application/vnd.docker.distribution.manifest.v1+prettyjws", old.into());
    let error = store.prepare(&reference).await.expect_err("schema 1");
    assert!(error.report().contains("schema 1"), "{}", error.report());
    let reference = registry.manifest("page", "text/html", Bytes::from_static(b"<html>"));
    let error = store.prepare(&reference).await.expect_err("a web page");
    assert_eq!(error.code(), "ImageInvalid");
}

#[tokio::test]
async fn a_foreign_layer_is_used_where_it_can_be_had() {
    let mut foreign = hello();
    foreign.manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let (store, registry) = (store().await, Registry::start().await);
    store.prepare(&registry.serve("pushed", &foreign)).await.expect("its registry has it");
    let store = support::store().await;
    let _lease = store.images.content().lease();
    store.push(&foreign).await;
    let reference = format!("127.0.0.1:1/team/app@{}", foreign.digest());
    store.prepare(&reference).await.expect("it is here");
}

#[tokio::test]
async fn progress_only_grows_and_ends_ready() {
    let store = store_with(image::Config { progress_interval_ms: 1, ..config() }).await;
    let (registry, image) = (Registry::start().await, hello());
    let (request, seen) = support::watched(&registry.serve("v1", &image));
    store.images.prepare(request).await.expect("a good image");
    let seen = seen.lock().expect("nobody panics");
    assert_eq!(seen.first().map(|p| p.step), Some(Step::Resolving));
    let last = seen.last().expect("reports");
    let total: u64 = image.blobs().iter().map(|b| b.len() as u64).sum();
    assert_eq!((last.step, last.layers_done, last.layers_total), (Step::Ready, 2, 2));
    assert_eq!((last.bytes_done, last.bytes_total), (total, total));
    assert!(seen.windows(2).all(|w| w[0].bytes_done <= w[1].bytes_done && w[0].layers_done <= w[1].layers_done));
}
