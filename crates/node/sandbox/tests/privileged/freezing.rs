//! Instances that are frozen between requests.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Bench, Output};
use sandbox::Sandbox;
use tokio::io::AsyncReadExt;

/// Longest wait of a condition in a test.
const WAIT: Duration = Duration::from_secs(20);

/// Lets other tasks go on until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + WAIT;
    while !condition()? {
        anyhow::ensure!(Instant::now() < deadline, "never came true: {what}");
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Freezes an instance and waits until the kernel reports that all its processes have stopped.
async fn freeze(bench: &Bench, sandbox: &Sandbox) -> anyhow::Result<()> {
    sandbox.freeze()?;
    let cgroups = bench.cgroups_of(sandbox);
    let says = |file: &str, text: &str| {
        let read = |folder: &std::path::PathBuf| fs::read_to_string(folder.join(file)).unwrap_or_default();
        cgroups.iter().any(|folder| read(folder).contains(text))
    };
    until("it is frozen", || Ok(says("cgroup.events", "frozen 1") || says("freezer.state", "FROZEN"))).await
}

async fn ticks(output: &mut Output, number: usize) -> anyhow::Result<()> {
    let mut seen = 0;
    until("it ticks", || {
        seen += output.now()?;
        Ok(seen >= number)
    })
    .await
}

#[tokio::test]
async fn timers_of_a_frozen_instance_do_not_run_until_it_is_thawed() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, mut frozen) = bench.spec(&["tick"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    ticks(&mut frozen, 1).await?;
    freeze(&bench, &sandbox).await?;
    frozen.now()?;
    // Another instance, which is not frozen, measures the time.
    let (spec, mut running) = bench.spec(&["tick"])?;
    let other = bench.sandboxes.launch(spec).await?;
    ticks(&mut running, 50).await?;
    assert_eq!(frozen.now()?, 0, "it went on while it was frozen");
    assert!(sandbox.memory_peak_bytes() > 0, "its memory is still counted");
    sandbox.thaw()?;
    ticks(&mut frozen, 1).await?;
    drop(other);
    bench.finish().await
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_is_thawed() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["serve=9000"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    for _ in 0..20 {
        freeze(&bench, &sandbox).await?;
        sandbox.thaw()?;
        let mut text = String::new();
        sandbox.connect(9000).await?.read_to_string(&mut text).await?;
        assert_eq!(text, "hi\n");
    }
    bench.finish().await
}

#[tokio::test]
async fn a_frozen_instance_dies_when_it_is_killed_and_when_the_platform_stops() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (first, _one) = bench.spec(&["tick"])?;
    let (second, _two) = bench.spec(&["tick"])?;
    let (first, second) = (bench.sandboxes.launch(first).await?, bench.sandboxes.launch(second).await?);
    freeze(&bench, &first).await?;
    freeze(&bench, &second).await?;
    first.kill();
    assert_eq!(first.exited().await.signal, Some(9));
    // Its exit status is published before its cgroup is removed.
    until("it is gone", || Ok(first.thaw().is_err() && first.freeze().is_err())).await?;
    bench.finish().await
}

#[tokio::test]
async fn a_child_that_the_kernel_killed_for_memory_is_told_of() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, mut output) = bench.spec(&["child-alloc=200", "tick"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    // Version 2 kills the whole instance with it, version 1 does not.
    until("the child is gone", || Ok(output.now()? > 0 || sandbox.exit().is_some())).await?;
    assert!(sandbox.out_of_memory());
    sandbox.kill();
    assert!(sandbox.exited().await.out_of_memory && sandbox.out_of_memory());
    bench.finish().await
}
