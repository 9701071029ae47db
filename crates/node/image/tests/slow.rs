//! Registries that are slow or send Retry-After: which other work they delay, and how long.

mod support;

use std::time::Duration;

use image::{Config, Error, Images};
use support::registry::{Fault, Registry};
use support::{Store, TestImage, config, digest, image, layer, noise, request, store_with, watched};

fn hello(seed: u64) -> TestImage {
    image(&[layer(&[("hello", &noise(100_000, seed))])])
}

fn blob_end(image: &TestImage) -> String {
    format!("blobs/{}", digest(&image.layers[0].blob))
}

/// Two registries together may use all transfer permits, one layer each.
fn narrow() -> Config {
    Config { indexing_memory_bytes_max: 160 << 20, read_idle_timeout_s: 600, transfer_bytes_per_s_min: 0, ..config() }
}

/// Starts to prepare images that never arrive, until one of them is being sent.
async fn stuck(store: &Store, registry: &Registry, seed: u64, count: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let (mut tasks, mut layers) = (Vec::new(), Vec::new());
    for n in 0..count {
        let image = hello(seed + n);
        let reference = registry.serve(&format!("stuck-{n}"), &image);
        registry.fail(&blob_end(&image), [Fault::Stall]);
        layers.push(blob_end(&image));
        let images: Images = store.images.clone();
        let request = request(&reference, &format!("stuck/{seed}/{n}"));
        tasks.push(tokio::spawn(async move {
            images.prepare(request).await.expect_err("it never comes");
        }));
    }
    let is_sent = |request: &String| layers.iter().any(|layer| request.ends_with(layer));
    while !registry.requests().iter().any(is_sent) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tasks
}

#[tokio::test]
async fn a_slow_registry_holds_up_neither_another_nor_what_is_here() {
    let store = store_with(narrow()).await;
    let (slow, other) = (Registry::start().await, Registry::start().await);
    let stuck = stuck(&store, &slow, 100, 12).await;
    let image = hello(1);
    store.prepare(&other.serve("v1", &image)).await.expect("another registry");
    let pushed = hello(2);
    let _lease = store.images.content().lease();
    store.push(&pushed).await;
    let reference = other.reference("none");
    store.prepare(&format!("{reference}@{}", pushed.digest())).await.expect("needs no registry");
    assert!(stuck.iter().all(|task| !task.is_finished()));
    stuck.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn what_is_pushed_meanwhile_does_not_wait_for_the_same_from_a_slow_registry() {
    let store = store_with(narrow()).await;
    let slow = Registry::start().await;
    let stuck = stuck(&store, &slow, 200, 1).await;
    let same = hello(200);
    let _lease = store.images.content().lease();
    store.push(&same).await;
    store.images.index_ahead(&digest(&same.layers[0].blob));
    let reference = slow.reference("stuck-0");
    store.prepare(&format!("{reference}@{}", same.digest())).await.expect("it is here");
    stuck.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_transfer_below_the_least_pace_fails_by_the_name_of_the_setting() {
    let config = Config { transfer_slow_s_max: 1, ..config() };
    let (store, registry, image) = (store_with(config).await, Registry::start().await, hello(3));
    let reference = registry.serve("v1", &image);
    for (end, bytes) in [(blob_end(&image), 100), ("manifests/v1".to_owned(), 1)] {
        let slow = |_| Fault::Slow(bytes);
        registry.fail(&end, (0..8).map(slow));
        let error = store.prepare(&reference).await.expect_err("too slow");
        assert!(
            matches!(
                error,
                Error::Registry(registry_client::Error::TooSlow { bytes_per_s_min: 10_000, over_s: 1, .. })
            ),
            "{}",
            error.report()
        );
        assert_eq!(error.code(), "PullImageTimeOut");
        assert!(error.report().contains("transfer_bytes_per_s_min of [image]"), "{}", error.report());
    }
    store.assert_clean().await;
    let enough = Config { transfer_slow_s_max: 1, transfer_bytes_per_s_min: 1000, ..support::config() };
    let store = store_with(enough).await;
    registry.fail(&blob_end(&image), [Fault::Slow(10_000)]);
    registry.fail("manifests/v1", []);
    store.prepare(&reference).await.expect("slow, but not too slow");
}

#[tokio::test]
async fn a_pause_that_a_registry_asks_for_is_given_and_shown() {
    // Without Retry-After it would retry after 50 ms at the latest.
    let (store, registry, image) = (store_with(config()).await, Registry::start().await, hello(4));
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image), [Fault::Status(429, Some("1"))]);
    let (request, seen) = watched(&reference);
    let request = image::PrepareRequest { ..request };
    let begun = std::time::Instant::now();
    store.images.prepare(request).await.expect("it answers the second time");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let seen = seen.lock().expect("nobody panics");
    assert!(seen.iter().any(|progress| progress.pause_s == Some(1)), "{seen:?}");
    assert_eq!(seen.last().and_then(|progress| progress.pause_s), None);
}

#[tokio::test]
async fn a_pause_that_is_too_long_fails_at_once_and_is_told() {
    let (store, registry, image) = (store_with(config()).await, Registry::start().await, hello(5));
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image), [Fault::Status(429, Some("3600"))]);
    let error = store.prepare(&reference).await.expect_err("it is not waited for");
    assert!(error.report().contains("HTTP 429") && error.report().contains("again in 3600 s"), "{}", error.report());
    let asked = registry.requests().into_iter().filter(|request| request.ends_with(&blob_end(&image))).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_pause_holds_for_all_images_of_the_registry_and_no_other() {
    let config = Config { progress_interval_ms: 1, ..config() };
    let (store, registry, other) = (store_with(config).await, Registry::start().await, Registry::start().await);
    let (first, seen) = watched(&registry.serve("first", &hello(6)));
    registry.fail(&blob_end(&hello(6)), [Fault::Status(429, Some("2"))]);
    let images: Images = store.images.clone();
    let told = tokio::spawn(async move { images.prepare(first).await });
    let pauses = |seen: &std::sync::Mutex<Vec<image::Progress>>| {
        seen.lock().expect("nobody panics").iter().any(|progress| progress.pause_s.is_some())
    };
    while !pauses(&seen) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (second, seen) = watched(&registry.serve("second", &hello(7)));
    let images: Images = store.images.clone();
    let waits = tokio::spawn(async move { images.prepare(second).await });
    let (third, unhindered) = watched(&other.serve("third", &hello(8)));
    store.images.prepare(third).await.expect("another registry");
    assert!(!pauses(&unhindered));
    told.await.expect("no panic").expect("after its pause");
    waits.await.expect("no panic").expect("after the other's pause");
    assert!(pauses(&seen), "it was not told itself, but waits");
}
