//! The harness itself: it detects leftovers, leaves none, and reports missing programs.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::Path;

use e2e::{Platform, leftovers, tools, wait};

#[tokio::test]
async fn a_platform_that_a_failed_test_drops_is_ended_with_its_instances() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    let (cgroup, data_dir) = (platform.cgroup_name(), platform.data_dir());
    assert!(!leftovers::processes(&cgroup).is_empty(), "the instance is seen while it runs");
    drop(platform);
    wait::until("nothing is left", || async {
        let left = leftovers::of(&data_dir, Some(&cgroup));
        Ok((left.is_empty() && !data_dir.exists()).then_some(()))
    })
    .await
}

#[test]
fn a_leftover_mount_is_detected() -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let target = mounts.lines().filter_map(|line| line.split(' ').nth(4)).find(|target| target.len() > 1);
    assert!(target.is_some_and(|target| !leftovers::of(Path::new(target), None).is_empty()));
    assert!(leftovers::of(Path::new("/nowhere/at/all"), Some("no-cgroup-of-this-name")).is_empty());
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_missing_is_named_with_its_package() {
    let error = tools::run(&mut tools::command("no-such-program")).await.expect_err("it is not there");
    let said = format!("{error:#}");
    assert!(said.contains("no-such-program") && said.contains("apt-get install"), "{said}");
}

#[tokio::test]
async fn a_failing_program_is_reported_with_its_output() {
    let mut command = tools::command("sh");
    let error = tools::run_ok(command.args(["-c", "echo the reason >&2; exit 3"])).await.expect_err("it fails");
    assert!(error.to_string().contains("the reason"), "{error}");
}
