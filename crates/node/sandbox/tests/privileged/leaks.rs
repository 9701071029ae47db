//! Thousands of starts and stops leave no resources behind.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::support::Bench;
use sandbox::Config;

/// Starts and stops, in rounds of as many at once.
const CYCLES: usize = 5000;
const AT_ONCE: usize = 4;
/// Longest wait until the clean-up is complete.
const WAIT: Duration = Duration::from_secs(20);
/// Insignificant growth of the test's own memory: buffers that are kept, and the allocator's.
const SLACK_KIB: usize = 16 * 1024;

/// Resources held by this process and by the kernel on its behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    /// Descriptors by kind: network and user namespaces, kernel programs and their maps, files,
    /// sockets.
    descriptors: BTreeMap<String, usize>,
    /// Threads that were not made by the runtime, which keeps some of its own for a while.
    threads: Vec<String>,
    mounts: usize,
    cgroups: usize,
    children: String,
}

fn held(bench: &Bench) -> Held {
    let entries = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut descriptors = BTreeMap::new();
    for link in entries("/proc/self/fd").filter_map(|path| fs::read_link(path).ok()) {
        let link = link.display().to_string();
        // The kind of `net:[4026531840]`, the last part of a path: directories have another number
        // each time.
        let kind = link.split_once(":[").map_or(link.as_str(), |(kind, _)| kind);
        let kind = kind.rsplit('/').next().unwrap_or(kind);
        let kind = if kind.parse::<u64>().is_ok() { "cgroup" } else { kind };
        *descriptors.entry(kind.to_owned()).or_default() += 1;
    }
    let names = entries("/proc/self/task").filter_map(|path| fs::read_to_string(path.join("comm")).ok());
    let mut threads: Vec<String> = names.filter(|name| !name.starts_with("tokio")).collect();
    threads.sort();
    Held {
        descriptors,
        threads,
        mounts: mounts(&bench.root.parent().unwrap_or(&bench.root).display().to_string()),
        cgroups: bench.instance_cgroups().len(),
        children: fs::read_to_string("/proc/thread-self/children").unwrap_or_default(),
    }
}

/// Mounts below a folder; other programs mount and unmount elsewhere.
fn mounts(folder: &str) -> usize {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    all.lines().filter(|mount| mount.contains(folder)).count()
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// One round of instances: every second one runs to its end, the others are stopped, some of them
/// frozen.
async fn round(bench: &Bench) -> anyhow::Result<()> {
    let one = async |number: usize| -> anyhow::Result<()> {
        if number.is_multiple_of(2) {
            anyhow::ensure!(bench.run(&["ids"]).await?.0.code == Some(0));
            return Ok(());
        }
        let (spec, _output) = bench.spec(&["serve=9000"])?;
        let sandbox = bench.sandboxes.launch(spec).await?;
        sandbox.wait_listening(9000, WAIT).await.map_err(|why| anyhow::anyhow!("{why:?}"))?;
        if number % 4 == 1 {
            sandbox.freeze()?;
        }
        sandbox.kill();
        sandbox.exited().await;
        Ok(())
    };
    futures_util::future::try_join_all((0..AT_ONCE).map(one)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_starts_and_stops_leave_everything_as_it_was() -> anyhow::Result<()> {
    // The number kept ready does not depend on the number of starts.
    let bench = Bench::with(Config { slots_ready: AT_ONCE, slots_ready_max: AT_ONCE, ..Config::default() }).await?;
    // Ranges of ids, and their namespaces, are kept for the highest number of concurrent instances.
    for _ in 0..10 {
        round(&bench).await?;
    }
    let settled = async |want: Option<&Held>| {
        let deadline = Instant::now() + WAIT;
        let mut last = held(&bench);
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = held(&bench);
            let rests = now == last && bench.sandboxes.count() == 0;
            if Instant::now() > deadline || (rests && want.is_none_or(|want| *want == now)) {
                return now;
            }
            last = now;
        }
    };
    let (before, resident) = (settled(None).await, resident_kib());
    for _ in 0..CYCLES / AT_ONCE {
        round(&bench).await?;
    }
    let after = settled(Some(&before)).await;
    let user = |held: &Held| held.descriptors.get("user").copied().unwrap_or_default();
    // A few ranges more may have been in use at once than in the first rounds.
    assert!(user(&after) <= user(&before) + AT_ONCE, "{before:#?} became {after:#?}");
    let others = |held: &Held| {
        let mut others = held.clone();
        others.descriptors.remove("user");
        others
    };
    assert_eq!(others(&after), others(&before));
    let grown = resident_kib().saturating_sub(resident);
    assert!(grown < SLACK_KIB, "{grown} KiB more are held than before");
    bench.finish().await?;
    let programs = || fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter(is_of_bpf).count();
    let deadline = Instant::now() + WAIT;
    while programs() > 0 {
        assert!(Instant::now() < deadline, "kernel programs are left");
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn is_of_bpf(entry: &fs::DirEntry) -> bool {
    fs::read_link(entry.path()).is_ok_and(|link| link.display().to_string().contains("bpf"))
}
