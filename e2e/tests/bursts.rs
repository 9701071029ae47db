//! Bursts of starts: their leftovers in the platform's process and on the machine.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use anyhow::{Context, ensure};
use e2e::{Platform, deploys, leftovers, tools, wait};
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Number of functions in a burst, each called once.
const FUNCTIONS: usize = 60;
/// Number of concurrent calls.
const CLIENTS: usize = 8;
/// Most threads of a platform on a machine with two processors.
const THREADS_MAX: usize = 32;
/// Most threads of the runtime's blocking pool: one each for freezing, for writing logs, and for
/// reading samples of metrics, created on demand.
const BLOCKING_MAX: usize = 3;

/// Most system calls of the thread `namespaces` per prepared set of namespaces, with ids that were
/// never used and without a link.
const NAMESPACE_CALLS_MAX: u64 = 92;
/// Most system calls of the thread `cgroups` per prepared cgroup, plus those per hierarchy. The
/// thread also removes cgroups of earlier starts, with one call per directory.
const CGROUP_CALLS_MAX: u64 = 12;
const HIERARCHY_CALLS_MAX: u64 = 6;
const REMOVAL: &str = "unlinkat";

/// Number of cgroup directories that a platform prepares before any start.
const SLOTS_READY: usize = 8;

/// Instances end a second after their call; starts per minute are unlimited.
const SETTINGS: &[(&str, &str)] = &[
    ("SAMPAN_POOL__KEEP_IDLE_S", "1"),
    ("SAMPAN_POOL__KEEP_IDLE_S_MIN", "1"),
    ("SAMPAN_POOL__KEEP_IDLE_S_MAX", "1"),
    ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
    ("SAMPAN_POOL__MEMORY_MB_MAX", "1000000"),
    ("SAMPAN_SANDBOX__SLOTS_READY", "8"),
    ("SAMPAN_SANDBOX__SLOTS_READY_MAX", "8"),
];

async fn deployed() -> anyhow::Result<Platform> {
    deployed_with(&[]).await
}

/// Deploys with further settings, which override [`SETTINGS`].
async fn deployed_with(settings: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(&[SETTINGS, settings].concat()).await?;
    platform.push_hello().await?;
    let image = format!("{}/hello:v1", platform.registry());
    for number in 0..FUNCTIONS {
        deploys::begin(&platform, &name(number), &image).await?;
    }
    for number in 0..FUNCTIONS {
        platform.api.wait_status(&name(number), &["Active"]).await?;
    }
    Ok(platform)
}

fn name(number: usize) -> String {
    format!("burst-{number}")
}

/// Calls every function once; returns the number of successful responses.
async fn burst(platform: &Platform) -> usize {
    let calls = futures_util::stream::iter(0..FUNCTIONS).map(|number| async move {
        let answer = platform.get(&name(number), "/").await;
        usize::from(answer.is_ok_and(|answer| answer.status().is_success()))
    });
    calls.buffer_unordered(CLIENTS).collect::<Vec<_>>().await.into_iter().sum()
}

/// Waits until no instance runs, and their processes and cgroups are gone.
async fn ended(platform: &Platform) -> anyhow::Result<()> {
    let cgroup = platform.cgroup_name();
    let gone = || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) };
    wait::until("the instances end", gone).await?;
    // The prepared directories of every hierarchy remain.
    let most = SLOTS_READY * leftovers::cgroups(&cgroup).len();
    let removed = || async { Ok((directories(&cgroup).len() <= most).then_some(())) };
    wait::until("their cgroups are removed", removed).await?;
    wait::until("their processes are waited for", || async { Ok(children(platform)?.is_empty().then_some(())) }).await
}

/// Child processes of the platform, including zombies.
fn children(platform: &Platform) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{}/task", platform.pid()?))?.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(listed.split_whitespace().map(str::to_owned));
    }
    Ok(found)
}

/// Threads of the platform, by id.
fn threads(platform: &Platform) -> anyhow::Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{}/task", platform.pid()?))?.flatten() {
        // A thread that has exited in the meantime has no name.
        let Ok(name) = fs::read_to_string(thread.path().join("comm")) else { continue };
        found.insert(thread.file_name().to_string_lossy().parse()?, name.trim().to_owned());
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_ends_make_no_threads_and_the_allocator_asks_for_no_huge_pages() -> anyhow::Result<()> {
    let platform = deployed().await?;
    let before = wait::until("the threads of the deploys end", || async {
        let now = threads(&platform)?;
        let of_runtime = now.values().filter(|name| *name == "tokio-rt-worker").count();
        let most = std::thread::available_parallelism()?.get() + BLOCKING_MAX;
        Ok((of_runtime <= most).then_some(now))
    })
    .await?;
    let mut made = BTreeMap::new();
    // Threads of the blocking pool end after ten idle seconds, which a slow burst lasts, and come
    // again under other ids.
    let mut look = || -> anyhow::Result<()> {
        let mut now = threads(&platform)?;
        assert!(now.len() <= THREADS_MAX, "{now:?}");
        now.retain(|id, _| !before.contains_key(id));
        assert!(now.len() <= BLOCKING_MAX && now.values().all(|name| name == "tokio-rt-worker"), "{now:?}");
        made.extend(now);
        Ok(())
    };
    for _ in 0..2 {
        assert_eq!(burst(&platform).await, FUNCTIONS);
        look()?;
        ended(&platform).await?;
        look()?;
    }
    assert!(made.len() < FUNCTIONS / CLIENTS, "{made:?}");

    let maps = fs::read_to_string(format!("/proc/{}/smaps", platform.pid()?))?;
    let flags: Vec<&str> = maps.lines().filter_map(|line| line.strip_prefix("VmFlags:")).collect();
    // MADV_HUGEPAGE (proc_pid_smaps(5)).
    let huge = flags.iter().filter(|flags| flags.split_whitespace().any(|flag| flag == "hg")).count();
    assert_eq!((flags.is_empty(), huge), (false, 0));
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_killed_in_a_burst_leaves_nothing_after_the_next_start() -> anyhow::Result<()> {
    let mut platform = deployed().await?;
    let cgroup = platform.cgroup_name();
    let urls: Vec<String> = (0..FUNCTIONS).map(|number| platform.url(&name(number), "/")).collect();
    let http = platform.http.clone();
    let calling = tokio::spawn(async move {
        let calls = futures_util::stream::iter(urls).map(|url| http.get(url).send());
        calls.buffer_unordered(CLIENTS).filter(|answer| std::future::ready(answer.is_ok())).count().await
    });
    let is_midway = || async { Ok((leftovers::processes(&cgroup).len() >= CLIENTS).then_some(())) };
    wait::until("some have started", is_midway).await?;
    platform.kill().await?;
    let answered = calling.await?;
    assert!((1..FUNCTIONS).contains(&answered), "{answered} of {FUNCTIONS} calls were answered before the kill");
    let directories = directories(&cgroup);

    let platform = platform.restart().await?;
    assert_eq!(leftovers::processes(&cgroup), Vec::<u32>::new());
    // Numbers of new directories start at 0 again, so higher numbers identify directories of the
    // burst.
    let (ready, burst_had) = (SLOTS_READY, directories.len());
    let left: Vec<_> = directories.into_iter().filter(|dir| dir.number >= ready && dir.path.exists()).collect();
    assert!(left.is_empty() && burst_had > ready, "{left:?} of {burst_had}");
    assert_eq!(burst(&platform).await, FUNCTIONS);
    ended(&platform).await?;
    platform.stop().await
}

/// Numbers of prepared cgroups and of prepared namespaces (both kinds).
async fn prewarmed(platform: &Platform) -> anyhow::Result<[f64; 2]> {
    let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
    let of = |kind: &str| {
        let name = format!("sampan_prewarmed{{kind=\"{kind}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok()).unwrap_or_default()
    };
    Ok([of("cgroup"), of("namespace").max(of("namespace-with-link"))])
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_ready_after_a_burst_as_its_rate_asks_for_and_the_level_comes_back() -> anyhow::Result<()> {
    const READY: [f64; 2] = [2.0; 2];
    const READY_MAX: [f64; 2] = [8.0; 2];
    let settings = ["SLOTS_READY", "SLOTS_READY_MAX", "READY_REMEMBERED_S", "READY_HALVED_S"];
    let keys = settings.map(|key| format!("SAMPAN_SANDBOX__{key}"));
    let mut settings: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(["2", "8", "10", "1"]).collect();
    settings.extend([("SAMPAN_NETWORK__LINKS_READY", "2"), ("SAMPAN_NETWORK__LINKS_READY_MAX", "8")]);
    let platform = deployed_with(&settings).await?;
    let is_at = |level: [f64; 2]| {
        let platform = &platform;
        async move { Ok((prewarmed(platform).await? == level).then_some(())) }
    };
    wait::until("the level of the deploys comes back", || is_at(READY)).await?;
    for _ in 0..2 {
        assert_eq!(burst(&platform).await, FUNCTIONS);
        wait::until("as many are ready as the burst took, or as there may be", || is_at(READY_MAX)).await?;
        wait::until("the level comes back", || is_at(READY)).await?;
    }
    platform.stop().await
}

/// A cgroup directory of an instance.
#[derive(Debug)]
struct Directory {
    path: std::path::PathBuf,
    number: usize,
}

/// Directories of instances below the platform's cgroup, in every hierarchy.
fn directories(cgroup: &str) -> Vec<Directory> {
    let entries = leftovers::cgroups(cgroup).into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let numbered = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_string_lossy().parse().ok()?;
        Some(Directory { path: entry.path(), number })
    });
    numbered.collect()
}

/// System calls of a thread, counted by strace until [`Counting::end`].
struct Counting {
    strace: tokio::process::Child,
    file: std::path::PathBuf,
}

impl Counting {
    /// Counts calls of the first thread of this name.
    async fn of(platform: &Platform, name: &str) -> anyhow::Result<Self> {
        let found = threads(platform)?.into_iter().find(|(_, found)| found == name);
        let (id, _) = found.with_context(|| format!("no thread {name}"))?;
        let file = platform.work_dir().join(format!("{name}.calls"));
        let mut command = tools::command("strace");
        command.args(["-c", "-p", &id.to_string(), "-o"]).arg(&file).stderr(Stdio::piped());
        let mut strace = command.spawn().context("cannot run strace; it is in the package strace")?;
        let mut said = String::new();
        let attached = BufReader::new(strace.stderr.take().context("piped")?).read_line(&mut said).await?;
        ensure!(attached > 0 && said.contains("attached"), "strace said {said:?}");
        Ok(Self { strace, file })
    }

    /// Stops counting, and returns the number of calls by name.
    async fn end(mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        let id = self.strace.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
        kill_process(id, Signal::INT)?;
        self.strace.wait().await?;
        let text = fs::read_to_string(&self.file)?;
        // % time, seconds, usecs/call, calls, errors if any, syscall.
        let counted = text.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let calls: u64 = words.get(3)?.parse().ok()?;
            let name = *words.last()?;
            // The removal of a cgroup fails and is retried while its last process exits.
            let again = if name == REMOVAL && words.len() > 5 { words[4].parse().ok()? } else { 0 };
            Some((name.to_owned(), calls - again)).filter(|(name, _)| name != "total")
        });
        Ok(counted.collect())
    }
}

/// Waits, and calls of debug builds only: fcntl checks that a descriptor is open before it is
/// closed.
const NOT_WORK: [&str; 5] = ["futex", "sched_yield", "restart_syscall", "madvise", "fcntl"];

#[tokio::test(flavor = "multi_thread")]
async fn making_and_removing_ahead_take_few_system_calls() -> anyhow::Result<()> {
    let platform = deployed().await?;
    let hierarchies = leftovers::cgroups(&platform.cgroup_name()).len() as u64;
    for (name, each, most) in [
        // A network namespace, six file systems with their contents, ids.
        ("namespaces", "unshare", NAMESPACE_CALLS_MAX),
        // Creation and removal of cgroups, limits, descriptors for the first process. One call
        // seals the instance's view of its cgroups.
        ("cgroups", "mount_setattr", CGROUP_CALLS_MAX + HIERARCHY_CALLS_MAX * hierarchies),
    ] {
        let counting = Counting::of(&platform, name).await?;
        assert_eq!(burst(&platform).await, FUNCTIONS);
        ended(&platform).await?;
        let counts = counting.end().await?;
        let made = counts.get(each).copied().unwrap_or_default();
        let removals = counts.get(REMOVAL).copied().unwrap_or_default();
        // Descriptors of an instance are closed when it ends, and more instances may end than are
        // prepared.
        let is_making = |name: &str| ![REMOVAL, "close"].contains(&name) && !NOT_WORK.contains(&name);
        let calls: u64 = counts.iter().filter(|(name, _)| is_making(name)).map(|(_, n)| n).sum();
        assert!(made > 4 && calls / made <= most, "{name}: {calls} calls for {made}: {counts:?}");
        assert!(removals <= (FUNCTIONS + SLOTS_READY) as u64 * hierarchies, "{name}: {counts:?}");
    }
    platform.stop().await
}
