//! Memory, processors, shared memory, open files and processes that a function requests, and their
//! upper limits.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools};

const GB: u64 = 1 << 30;

/// The path of a limit's file in this machine's cgroup hierarchy: version 2, or version 1.
fn group_file(unified: &str, own: &str) -> String {
    let is_unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|c| c.contains("memory"));
    format!("/sys/fs/cgroup/{}", if is_unified { unified } else { own })
}

/// `text` of the line that begins with `label`.
fn line<'a>(text: &'a str, label: &str) -> &'a str {
    text.lines().find(|line| line.contains(label)).unwrap_or_default()
}

async fn read(platform: &Platform, function: &str, file: &str) -> anyhow::Result<String> {
    Ok(platform.get(function, &format!("/read?{file}")).await?.text().await?.trim().to_owned())
}

/// The error of `deploy` for a rejected change.
async fn refused(platform: &Platform, flags: &[&str]) -> anyhow::Result<String> {
    let run = tools::run(&mut platform.cli(&[&["deploy", "sized"], flags].concat())).await?;
    anyhow::ensure!(!run.ok, "{flags:?} was taken: {}", run.stdout);
    Ok(run.stderr)
}

#[tokio::test]
async fn a_function_gets_the_sizes_that_it_asks_for() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[
        ("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", "[crun]"),
        ("SAMPAN_LAUNCHER__MEMORY_MB_MAX", "6144"),
        ("SAMPAN_LAUNCHER__CPU_MILLI_MAX", "4000"),
        ("SAMPAN_POOL__MEMORY_MB_MAX", "100000"),
    ])
    .await?;
    platform.push_hello().await?;
    let sizes = ["--memory", "4g", "--cpu", "1.5", "--shm", "128m", "--nofile", "2048", "--pids", "77"];
    for runtime in ["sampan", "crun"] {
        platform.deploy(runtime, "hello:v1", &[&sizes[..], &["--runtime", runtime]].concat()).await?;
        let memory = group_file("memory.max", "memory/memory.limit_in_bytes");
        assert_eq!(read(&platform, runtime, &memory).await?, (4 * GB).to_string(), "{runtime}");
        let limits = read(&platform, runtime, "/proc/self/limits").await?;
        let files: Vec<&str> = line(&limits, "Max open files").split_whitespace().skip(3).take(2).collect();
        assert_eq!(files, ["2048", "2048"], "{runtime}: {limits}");
        let mounts = read(&platform, runtime, "/proc/self/mounts").await?;
        assert!(line(&mounts, " /dev/shm ").contains("size=131072k"), "{runtime}: {mounts}");
        assert_eq!(read(&platform, runtime, &group_file("pids.max", "pids/pids.max")).await?, "77", "{runtime}");
    }
    let shown = tools::run_ok(&mut platform.cli(&["get", "sampan"])).await?;
    for (label, value) in [("memory MB", "4096"), ("cpu milli", "1500"), ("shm MB", "128"), ("processes", "77")] {
        assert!(line(&shown, label).ends_with(&format!(" {value}")), "{label}: {shown}");
    }
    // Removing one limit leaves the others.
    platform.deploy("sampan", "hello:v1", &["--nofile", "0"]).await?;
    let limits = read(&platform, "sampan", "/proc/self/limits").await?;
    assert_eq!(line(&limits, "Max open files").split_whitespace().nth(3), Some("1024"), "{limits}");
    let shown = tools::run_ok(&mut platform.cli(&["get", "sampan"])).await?;
    assert_eq!((line(&shown, "open files"), line(&shown, "shm MB").ends_with(" 128")), ("", true), "{shown}");
    platform.stop().await
}

#[tokio::test]
async fn what_the_machine_or_the_operator_does_not_give_is_refused_at_deploy() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[
        ("SAMPAN_LAUNCHER__PIDS_PER_FUNCTION_MAX", "100"),
        ("SAMPAN_POOL__MEMORY_MB_MAX", "512"),
        ("SAMPAN_API__ENVIRONMENT_BYTES_MAX", "20000"),
    ])
    .await?;
    platform.push_hello().await?;
    let large = format!("LARGE={}", "x".repeat(19_000));
    platform.deploy("sized", "hello:v1", &["--env", &large]).await?;
    let too_large = format!("LARGE={}", "x".repeat(20_000));
    for (flags, named) in [
        (["--memory", "1g"], "[pool] memory_mb_max"),
        (["--memory", "900"], "steps of 128"),
        (["--cpu", "4000"], "[launcher] cpu_milli_max"),
        (["--shm", "256m"], "raise MemorySize"),
        (["--nofile", "2000000"], "[launcher] files_per_function_max"),
        (["--pids", "101"], "[launcher] pids_per_function_max"),
        (["--env", &too_large], "[api] environment_bytes_max"),
    ] {
        let said = refused(&platform, &flags).await?;
        assert!(said.contains(named), "{flags:?}: {said}");
    }
    assert_eq!(platform.get("sized", "/").await?.status(), 200);
    platform.stop().await
}
