//! Resource exhaustion by an instance: it reaches its own limits without effect on other instances.
//! The limits are in `docs/SPECIFICATION.md`.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::ensure;
use e2e::{Platform, disk, hostile, kernel, leftovers, wait};
use futures_util::future::try_join_all;

/// Error numbers (errno(3)).
const TRY_AGAIN: i32 = 11;
const TOO_MANY_FILES: i32 = 24;
const NO_SPACE: i32 = 28;
/// Default limits of processes and threads, and of open files per process.
const TASKS_MAX: u64 = 1024;
const FILES_MAX: u64 = 1024;
/// Default limit of pending signals.
const SIGNALS_MAX: u64 = 4096;
/// Largest growth of the platform's memory caused by an instance, in MB.
const GROWTH_MB_MAX: u64 = 64;

/// Starts a platform with the hostile image as `attacker`, and as `other`, which must not be
/// affected.
async fn start(env: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    hostile::push(&platform).await?;
    platform.deploy("attacker", "hostile:v1", &[flags, &["--no-start-check"]].concat()).await?;
    platform.deploy("other", "hostile:v1", &["--timeout", "30"]).await?;
    hostile::attack(&platform, "other", "/").await?;
    Ok(platform)
}

/// Checks that the other function answers, from its instance and from a new one.
async fn end(platform: Platform) -> anyhow::Result<()> {
    hostile::attack(&platform, "other", "/").await?;
    platform.deploy("next", "hostile:v1", &[]).await?;
    hostile::attack(&platform, "next", "/").await?;
    platform.stop().await
}

/// Status and text of a failed invocation.
async fn failure(platform: &Platform, function: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let answer = platform.get(function, path).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn processes_threads_and_files_end_at_their_limits() -> anyhow::Result<()> {
    let platform = start(&[], &["--memory", "1024", "--timeout", "60"]).await?;
    for (path, limit, error) in
        [("/forks", TASKS_MAX, TRY_AGAIN), ("/threads", TASKS_MAX, TRY_AGAIN), ("/files", FILES_MAX, TOO_MANY_FILES)]
    {
        let (count, ended_with) = hostile::bomb(&platform, "attacker", path).await?;
        // The program itself uses some of the limit.
        assert!((limit - 16..limit).contains(&count) && ended_with == error, "{path}: {count}, error {ended_with}");
    }
    end(platform).await
}

#[tokio::test]
async fn per_user_kernel_limits_are_separate_for_each_instance() -> anyhow::Result<()> {
    let platform = start(&[], &["--timeout", "60"]).await?;
    let watches_max: u64 = std::fs::read_to_string("/proc/sys/user/max_inotify_instances")?.trim().parse()?;
    for (path, limit) in [("/watches", watches_max.min(FILES_MAX)), ("/signals", SIGNALS_MAX)] {
        // Both instances keep what they allocated.
        for function in ["attacker", "other"] {
            let (count, error) = hostile::bomb(&platform, function, path).await?;
            assert!((limit - 16..=limit).contains(&count) && error != 0, "{function}{path}: {count}, error {error}");
        }
    }
    end(platform).await
}

#[tokio::test]
async fn memory_in_sockets_is_bounded_by_the_memory_of_the_instance() -> anyhow::Result<()> {
    let platform = start(&[], &["--memory", "128", "--timeout", "60"]).await?;
    let answer = platform.get("attacker", "/held?400").await?;
    let (status, text) = (answer.status().as_u16(), answer.text().await?);
    let held = text.split(' ').next().and_then(|held| held.parse::<u64>().ok());
    // In cgroup version 2 the memory limit kills the instance; in version 1 further sends block.
    let bounded = status == 434 || held.is_some_and(|held| held <= 160);
    assert!(bounded, "{status}: {text}");
    end(platform).await
}

#[tokio::test]
async fn a_fork_bomb_is_contained_and_killed_at_the_timeout() -> anyhow::Result<()> {
    let platform = start(&[("SAMPAN_POOL__FREEZE_AFTER_MS", "0")], &["--memory", "1792", "--timeout", "5"]).await?;
    let cgroup = platform.cgroup_name();
    let others = leftovers::processes(&cgroup);
    let bomb = platform.http.get(platform.url("attacker", "/fork-bomb"));
    let bomb = tokio::spawn(async move { bomb.send().await.map(|answer| answer.status().as_u16()) });
    let bombs = || leftovers::processes(&cgroup).into_iter().filter(|pid| !others.contains(pid)).collect::<Vec<_>>();
    let most = wait::until("the bomb has gone off", || async {
        let Some(first) = bombs().first().copied() else { return Ok(None) };
        let count = kernel::cgroup_file(first, "pids.current", ("pids", "pids.current"));
        Ok(count.ok().and_then(|count| count.parse::<u64>().ok()).filter(|count| *count >= TASKS_MAX - 16))
    })
    .await?;
    assert!(most <= TASKS_MAX, "{most} processes");
    hostile::attack(&platform, "other", "/").await?;
    assert_eq!(bomb.await??, 433);
    wait::until("its processes are gone", || async { Ok(bombs().is_empty().then_some(())) }).await?;
    end(platform).await
}

#[tokio::test]
async fn a_fork_bomb_with_little_processor_time_ends_and_the_platform_starts_again() -> anyhow::Result<()> {
    let mut platform = start(&[], &["--memory", "64", "--timeout", "3"]).await?;
    let cgroup = platform.cgroup_name();
    let others = leftovers::processes(&cgroup);
    let ended = platform.http.get(platform.url("attacker", "/fork-bomb")).send().await?.status().as_u16();
    assert!([430, 433, 434, 439].contains(&ended), "{ended}");
    let bombs = || leftovers::processes(&cgroup).into_iter().any(|pid| !others.contains(&pid));
    wait::until("its processes are gone", || async { Ok((!bombs()).then_some(())) }).await?;
    // Also when the platform is killed and cannot end the bomb itself.
    let bomb = platform.http.get(platform.url("attacker", "/fork-bomb"));
    let bomb = tokio::spawn(bomb.send());
    wait::until("the bomb has gone off", || async { Ok(bombs().then_some(())) }).await?;
    platform.kill().await?;
    _ = bomb.await;
    end(platform.restart().await?).await
}

#[tokio::test]
async fn a_memory_bomb_fails_all_requests_of_its_instance_with_434_and_no_others() -> anyhow::Result<()> {
    let platform = start(&[], &["--memory", "256", "--timeout", "60", "--concurrency", "10"]).await?;
    hostile::attack(&platform, "attacker", "/").await?;
    let sleeping: Vec<_> = (0..4)
        .map(|_| {
            let request = platform.http.get(platform.url("attacker", "/sleep?59000"));
            tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) })
        })
        .collect();
    let others = platform.http.get(platform.url("other", "/sleep?1000"));
    let others = tokio::spawn(async move { others.send().await.map(|answer| answer.status().as_u16()) });
    let pids = leftovers::processes(&platform.cgroup_name());
    // The server uses one thread per connection.
    wait::until("they all sleep", || async {
        let threads = |pid: &u32| kernel::status(*pid, "Threads").ok().and_then(|n| n.parse::<u32>().ok());
        Ok(pids.iter().filter_map(threads).any(|threads| threads > sleeping.len() as u32).then_some(()))
    })
    .await?;
    let (status, text) = failure(&platform, "attacker", "/memory").await?;
    assert_eq!(status, 434, "{text}");
    assert!(text.contains("its memory limit of 256 MB") && text.contains("MB in use"), "{text}");
    for answer in try_join_all(sleeping).await? {
        assert_eq!(answer?, 434, "a request of the same instance");
    }
    assert_eq!(others.await??, 200, "a request of another");
    end(platform).await
}

#[tokio::test]
async fn files_in_memory_and_shared_memory_count_as_memory() -> anyhow::Result<()> {
    let platform = start(&[], &["--memory", "128", "--timeout", "60"]).await?;
    for path in ["/fill?/tmp", "/fill?/", "/shared-memory"] {
        let (status, text) = failure(&platform, "attacker", path).await?;
        assert_eq!(status, 434, "{path}: {text}");
    }
    end(platform).await
}

#[tokio::test]
async fn files_are_limited_to_the_instances_disk() -> anyhow::Result<()> {
    let room = [("SAMPAN_SANDBOX__TMP_BYTES_MAX", "16777216"), ("SAMPAN_SANDBOX__WRITABLE_BYTES_MAX", "8388608")];
    let files = [("SAMPAN_SANDBOX__WRITABLE_FILES_MAX", "5000"), ("SAMPAN_SANDBOX__SHM_BYTES_MAX", "4194304")];
    let platform = start(&[room, files].concat(), &["--memory", "1024", "--timeout", "60"]).await?;
    let before = disk::bytes(&platform.data_dir());
    for (dir, mb) in [("/tmp", 16), ("/", 8), ("/dev/shm", 4), ("/dev", 0)] {
        let (count, error) = hostile::bomb(&platform, "attacker", &format!("/fill?{dir}")).await?;
        // The file system needs part of its size for metadata.
        assert!(count <= mb && count + 1 >= mb && error == NO_SPACE, "{dir}: {count} MB, error {error}");
    }
    for (dir, most) in [("/tmp", 5000), ("/", 5000), ("/dev/shm", 5000), ("/dev", 1024)] {
        let (count, error) = hostile::bomb(&platform, "attacker", &format!("/inodes?{dir}")).await?;
        assert!(count <= most && count > most - 100 && error == NO_SPACE, "{dir}: {count} files, error {error}");
    }
    // The file's space is freed when it is removed, so the instance continues.
    let (count, _) = hostile::bomb(&platform, "attacker", "/fill?/tmp").await?;
    assert!(count >= 15, "{count} MB");
    assert_eq!(disk::bytes(&platform.data_dir()), before, "something was written to the machine's disk");
    end(platform).await
}

#[tokio::test]
async fn endless_output_is_truncated_with_a_notice() -> anyhow::Result<()> {
    let platform = start(&[], &["--memory", "512", "--timeout", "120"]).await?;
    let memory_mb = kernel::resident_mb(platform.pid()?)?;
    let answer = platform.get("attacker", "/print?100").await?;
    let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    let log = platform.api.log_of("attacker", &id).await?;
    let text = log["Log"].as_str().unwrap_or_default();
    assert!(text.len() < 4 << 20, "the log of one request has {} bytes", text.len());
    assert!(text.contains("END RequestId") && text.contains("Report RequestId"), "the platform's lines are missing");
    let grown_mb = kernel::resident_mb(platform.pid()?)?.saturating_sub(memory_mb);
    assert!(grown_mb <= GROWTH_MB_MAX, "the platform grew by {grown_mb} MB");
    // The function writes 100 MB; an instance may log a burst of 8 MB and then 1 MB a second.
    let kept = folder_bytes(&platform.data_dir().join("logs"));
    assert!(kept < 60 << 20, "{kept} bytes of it are kept");
    end(platform).await
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    });
    bytes.sum()
}
