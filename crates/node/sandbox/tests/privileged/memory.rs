//! Reported memory of instances.

use std::fs::File;
use std::time::{Duration, Instant};

use crate::lifecycle::WAIT;
use crate::support::Bench;

const MB: u64 = 1 << 20;
/// Size of the image's large file.
const FILE_MB: usize = 64;

/// An instance that takes 30 MB and reads the large file: its reported use, and the memory that the
/// kernel charged to it.
async fn used(bench: &Bench) -> anyhow::Result<(u64, u64)> {
    let (mut spec, _output) = bench.spec(&["alloc=30", "read=/large", "serve=9000"])?;
    spec.memory_bytes = 256 * MB;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    let files = ["memory.peak", "memory.max_usage_in_bytes"];
    let places = bench.cgroups_of(&sandbox).into_iter().flat_map(|dir| files.map(|file| dir.join(file)));
    let charged = places.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).next();
    let used = sandbox.memory_peak_bytes();
    sandbox.kill();
    sandbox.exited().await;
    Ok((used, charged.unwrap_or_default()))
}

/// Creates the image's large file outside the page cache: its first reader is charged.
fn make_large(bench: &Bench) -> anyhow::Result<()> {
    let large = bench.root.join("large");
    std::fs::write(&large, vec![7; FILE_MB << 20])?;
    let file = File::open(&large)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

#[tokio::test]
async fn memory_is_the_same_whoever_reads_the_images_files_first() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    make_large(&bench)?;
    let (cold, charged) = used(&bench).await?;
    let (warm, charged_warm) = used(&bench).await?;
    assert!(charged > charged_warm + (FILE_MB as u64 - 8) * MB, "{charged} {charged_warm}: nothing was read anew");
    assert!(cold.abs_diff(warm) * 20 < warm, "{cold} {warm}");
    assert!((30 * MB..36 * MB).contains(&warm), "{warm}");
    bench.finish().await
}

#[tokio::test]
async fn memory_in_the_place_of_page_cache_is_seen_while_an_instance_runs() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    make_large(&bench)?;
    // The file fills the limit, so that the kernel's peak no longer changes.
    let (spec, _output) = bench.spec(&["read=/large", "alloc=30", "serve=9000"])?;
    assert_eq!(spec.memory_bytes, FILE_MB as u64 * MB);
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    let deadline = Instant::now() + WAIT;
    while sandbox.memory_peak_bytes() < 30 * MB {
        assert!(Instant::now() < deadline, "{}", sandbox.memory_peak_bytes());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sandbox.memory_peak_bytes() < 40 * MB, "{}", sandbox.memory_peak_bytes());
    bench.finish().await
}

#[tokio::test]
async fn files_that_an_instance_writes_count() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, output) = bench.spec(&["fill=/tmp/file:7"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    assert_eq!(tokio::task::spawn_blocking(move || output.text()).await??, "/tmp/file 7 MB whole\n");
    sandbox.exited().await;
    // The memory is freed before the sample.
    assert!(sandbox.memory_peak_bytes() > 6 * MB, "{}", sandbox.memory_peak_bytes());
    bench.finish().await
}

#[tokio::test]
async fn an_instance_that_was_killed_for_memory_used_its_limit() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["alloc=200"])?;
    let limit = spec.memory_bytes;
    let sandbox = bench.sandboxes.launch(spec).await?;
    assert!(sandbox.exited().await.out_of_memory);
    assert!(sandbox.memory_peak_bytes() >= limit, "{}", sandbox.memory_peak_bytes());
    // One process of it, which the kernel kills alone in version 1.
    let (spec, _output) = bench.spec(&["child-alloc=200", "serve=9000"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    if sandbox.wait_listening(9000, WAIT).await.is_ok() {
        assert!(sandbox.out_of_memory() && sandbox.memory_peak_bytes() >= limit, "{}", sandbox.memory_peak_bytes());
    }
    bench.finish().await
}
