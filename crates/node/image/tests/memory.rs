//! Memory of indexing: images with many entries stay below their part of the budget, and wait for
//! it before they begin.

mod support;

use std::fs;

use image::Config;
use support::{Layer, Store, TestImage, config, image, layer, store_with};

const MIB: u64 = 1 << 20;

/// Highest resident memory of this process since it was last reset.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process has one");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux has it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

/// Resets it to the resident memory now.
fn reset_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").expect("tests run as root");
    peak_bytes()
}

/// A layer of `count` entries, with the names that `name` returns.
fn many(count: usize, name: impl Fn(usize) -> String) -> Layer {
    let names: Vec<_> = (0..count).map(name).collect();
    layer(&names.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>())
}

async fn prepare(config: Config, image: &TestImage) -> (Store, Result<(), image::Error>) {
    let store = store_with(config).await;
    let _lease = store.images.content().lease();
    store.push(image).await;
    let reference = format!("127.0.0.1:1/team/app@{}", image.digest());
    let prepared = store.prepare(&reference).await.map(|_| ());
    (store, prepared)
}

fn with_memory(mib: u64) -> Config {
    Config { indexing_memory_bytes_max: mib * MIB, ..config() }
}

/// The estimate in the error for an image over the limit.
async fn estimate(image: &TestImage) -> u64 {
    let (_store, refused) = prepare(with_memory(80), image).await;
    let Err(image::Error::NeedsMemory { bytes, .. }) = refused else { panic!("not refused: {refused:?}") };
    bytes
}

async fn stays_below_its_estimate(image: TestImage) {
    let estimate = estimate(&image).await;
    let before = reset_peak();
    let (_store, prepared) = prepare(with_memory(estimate * 2 / MIB + 2), &image).await;
    prepared.expect("it has room");
    let taken = peak_bytes() - before;
    assert!(taken <= estimate, "{taken} bytes were taken, {estimate} were counted");
    assert!(estimate <= 8 * taken, "{taken} bytes were taken, {estimate} were counted");
}

#[tokio::test]
async fn many_files_stay_below_what_is_counted() {
    stays_below_its_estimate(image(&[many(120_000, |n| format!("f{n}"))])).await;
}

#[tokio::test]
async fn many_directories_stay_below_what_is_counted() {
    stays_below_its_estimate(image(&[many(60_000, |n| format!("{}/{n}/", n / 300))])).await;
}

#[tokio::test]
async fn directories_that_no_entry_has_are_counted() {
    let deep = |n: usize| format!("{n}/{}f", "d/".repeat(1000));
    stays_below_its_estimate(image(&[many(80, deep)])).await;
}

#[tokio::test]
async fn long_names_stay_below_what_is_counted() {
    stays_below_its_estimate(image(&[many(30_000, |n| format!("{n:0>250}"))])).await;
}

#[tokio::test]
async fn images_that_take_the_memory_in_turn_are_all_prepared() {
    let images: Vec<_> = (0..4).map(|k| image(&[many(30_000, |n| format!("{k}-{n}"))])).collect();
    let store = store_with(with_memory(80)).await;
    let _lease = store.images.content().lease();
    for image in &images {
        store.push(image).await;
    }
    let before = reset_peak();
    let requests = images.iter().enumerate().map(|(n, image)| {
        let reference = format!("127.0.0.1:1/team/app@{}", image.digest());
        store.images.prepare(support::request(&reference, &format!("owner/{n}")))
    });
    for prepared in futures_util::future::join_all(requests).await {
        prepared.expect("it waits for its part");
    }
    let taken = peak_bytes() - before;
    assert!(taken <= 80 * MIB, "{taken} bytes were taken");
}
