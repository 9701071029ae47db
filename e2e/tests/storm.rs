//! Many concurrent starts, a kill during them, and exhausted resources: each call gets a response
//! with the contract's code (4.5), nothing is left behind, and service resumes once resources are
//! free.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::small_disk::SmallDisk;
use e2e::{Platform, images, kernel, leftovers, tools, wait};
use futures_util::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Number of instances in a storm.
const STORM: usize = 300;
/// Number of functions that share them.
const FUNCTIONS: usize = 4;
/// Settings that admit all instances, also by their memory sizes, which they do not fill.
const ROOM: &[(&str, &str)] = &[
    ("SAMPAN_POOL__INSTANCES_MAX", "1000"),
    ("SAMPAN_POOL__INSTANCES_PER_FUNCTION_MAX", "500"),
    ("SAMPAN_POOL__MEMORY_MB_MAX", "100000"),
];

type Statuses = BTreeMap<u16, usize>;

async fn start(env: &[(&str, &str)], functions: usize) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    platform.push_hello().await?;
    for number in 0..functions {
        platform.deploy(&name(number), "hello:v1", &["--memory", "64", "--timeout", "100", "--no-start-check"]).await?;
    }
    Ok(platform)
}

fn name(number: usize) -> String {
    format!("f{number}")
}

/// Calls functions round robin, all concurrently; returns the number of responses per status; 0
/// stands for none.
async fn storm(platform: &Platform, functions: usize, calls: usize, path: &str) -> Statuses {
    let call = |number: usize| {
        let request = platform.http.get(platform.url(&name(number % functions), path));
        async move {
            let Ok(answer) = request.send().await else { return 0 };
            let status = answer.status().as_u16();
            // A truncated response counts as none.
            if answer.bytes().await.is_ok() { status } else { 0 }
        }
    };
    let mut statuses = Statuses::new();
    for status in join_all((0..calls).map(call)).await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

async fn all_answer(platform: &Platform, functions: usize) -> anyhow::Result<()> {
    for number in 0..functions {
        let function = name(number);
        wait::until(&format!("{function} answers"), || async {
            Ok(platform.get(&function, "/").await?.status().is_success().then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_storm_of_starts_is_answered() -> anyhow::Result<()> {
    let platform = start(ROOM, FUNCTIONS).await?;
    // Long enough that no instance serves two calls.
    assert_eq!(storm(&platform, FUNCTIONS, STORM, "/sleep?10000").await, Statuses::from([(200, STORM)]));
    all_answer(&platform, FUNCTIONS).await?;
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_a_storm_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut platform = start(ROOM, FUNCTIONS).await?;
    for round in 0..2 {
        let cgroup = platform.cgroup_name();
        let (http, urls): (_, Vec<_>) = (
            platform.http.clone(),
            (0..STORM).map(|number| platform.url(&name(number % FUNCTIONS), "/sleep?90000")).collect(),
        );
        let calls = urls.into_iter().map(|url| tokio::spawn(http.get(url).send()));
        let calls: Vec<_> = calls.collect();
        // Midway: many instances run, and others are starting.
        wait::until("the storm is under way", || async {
            Ok((leftovers::processes(&cgroup).len() >= STORM / 3).then_some(()))
        })
        .await?;
        platform.kill().await?;
        for call in join_all(calls).await {
            assert!(call?.is_err(), "a call ended well though the platform was killed");
        }
        let before = leftovers::processes(&cgroup);
        platform = platform.restart().await?;
        assert_eq!(leftovers::processes(&cgroup), Vec::<u32>::new(), "round {round}: instances of before");
        let alive: Vec<_> = before.into_iter().filter(|pid| kernel::runs(*pid)).collect();
        assert!(alive.is_empty(), "round {round}: {alive:?} run outside of any cgroup");
        all_answer(&platform, FUNCTIONS).await?;
    }
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_beyond_instances_max_answer_449() -> anyhow::Result<()> {
    let env = [("SAMPAN_SANDBOX__INSTANCES_MAX", "3"), ("SAMPAN_POOL__KEEP_IDLE_S", "1")];
    let platform = start(&env, 2).await?;
    let statuses = storm(&platform, 1, 8, "/sleep?3000").await;
    assert_eq!(statuses, Statuses::from([(200, 3), (449, 5)]));
    // Idle instances of the other function occupy the limit for a second at most.
    all_answer(&platform, 2).await?;
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_answer_432_while_all_instances_are_busy() -> anyhow::Result<()> {
    let env = [("SAMPAN_POOL__INSTANCES_MAX", "3"), ("SAMPAN_POOL__WAIT_MS_MAX", "500")];
    let platform = start(&env, 2).await?;
    let statuses = storm(&platform, 1, 8, "/sleep?3000").await;
    assert_eq!(statuses, Statuses::from([(200, 3), (432, 5)]));
    all_answer(&platform, 2).await?;
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_without_file_descriptors_refuses_starts_and_recovers() -> anyhow::Result<()> {
    // Without prepared sandboxes, which would allow a start without further descriptors.
    let env = [ROOM, &[("SAMPAN_SANDBOX__SLOTS_READY", "0"), ("SAMPAN_POOL__KEEP_IDLE_S", "1")]].concat();
    let platform = start(&env, 2).await?;
    all_answer(&platform, 1).await?;
    let pid = i32::try_from(platform.pid()?).ok().and_then(Pid::from_raw);
    let open = std::fs::read_dir(format!("/proc/{}/fd", platform.pid()?))?.count() as u64;
    // Descriptors suffice for callers' connections, not for instances.
    let maximum = Some(kernel::open_files_max(platform.pid()?)?);
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(open + 40), maximum })?;
    let statuses = storm(&platform, 2, 30, "/sleep?3000").await;
    let answered = statuses.get(&200).copied().unwrap_or_default();
    assert!(answered < 30, "there were enough: {statuses:?}");
    // An error of the machine is never reported as the function's.
    assert!(statuses.keys().all(|status| [0, 200, 449, 500].contains(status)), "{statuses:?}");
    assert!(statuses.contains_key(&449), "{statuses:?}");
    prlimit(pid, Resource::Nofile, before)?;
    all_answer(&platform, 2).await?;
    assert_eq!(storm(&platform, 2, 30, "/sleep?1000").await, Statuses::from([(200, 30)]));
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_deploys_but_not_calls() -> anyhow::Result<()> {
    let disk = SmallDisk::make("48m")?;
    let platform = Platform::start_below(disk.path(), &[("SAMPAN_POOL__KEEP_IDLE_S", "1")]).await?;
    platform.push_hello().await?;
    platform.deploy("f0", "hello:v1", &["--timeout", "30"]).await?;
    all_answer(&platform, 1).await?;
    disk.fill()?;
    // The running instance and new ones, whose writable layer is in memory, serve the calls.
    for status in storm(&platform, 1, 6, "/sleep?300").await.keys() {
        assert!([200, 449].contains(status), "{status}");
    }
    let folder = images::hello_folder()?;
    folder.write("more", &vec![7; 1 << 20])?;
    let push = platform.push_folder(folder.path(), &["/hello"], "more:v1");
    let refused = tokio::time::timeout(Duration::from_secs(60), push).await?;
    let words = refused.expect_err("there is no room").to_string().to_lowercase();
    assert!(words.contains("space") || words.contains("disk") || words.contains("full"), "{words}");
    disk.make_room()?;
    platform.push_folder(folder.path(), &["/hello"], "more:v1").await?;
    platform.deploy("f1", "more:v1", &[]).await?;
    all_answer(&platform, 2).await?;
    let list = tools::run_ok(&mut platform.cli(&["list"])).await?;
    assert!(list.contains("f0") && list.contains("f1"), "{list}");
    platform.stop().await
}
