//! Limits as an instance sees them: its own cgroups, read-only, in Sampan's own isolation and in
//! other runtimes.

use sandbox::Config;

use crate::lifecycle::WAIT;
use crate::runtimes::{on_the_hosts_kernel, runtimes};
use crate::support::Bench;

/// Memory limit of the instances here.
const MEMORY_BYTES: u64 = 96 << 20;
/// Files from which programs read their limits: those of version 2, then those of version 1.
const SHOWN: [[&str; 3]; 2] = [
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/pids.max"],
    [
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
        "/sys/fs/cgroup/pids/pids.max",
    ],
];

/// The files that this machine has.
fn shown() -> [&'static str; 3] {
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|c| c.contains("memory"));
    SHOWN[usize::from(!unified)]
}

async fn sees_its_limits(bench: &Bench, runtime: Option<sandbox::Runtime>) -> anyhow::Result<()> {
    let [memory, cpu, pids] = shown();
    let (named, shown) = (format!("{runtime:?}"), [memory, cpu, pids].map(|file| format!("cat={file}")));
    let mut args: Vec<&str> = shown.iter().map(String::as_str).collect();
    args.extend(["cat=/proc/self/cgroup", "cat=/proc/self/mountinfo"]);
    let change = |spec: &mut sandbox::LaunchSpec| {
        (spec.memory_bytes, spec.cpu_start_quota_us, spec.pids_max) = (MEMORY_BYTES, 50_000, 77);
        spec.runtime = runtime;
    };
    let (_, text) = bench.run_changed(&args, change).await?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], MEMORY_BYTES.to_string(), "{named}: {text}");
    assert!(matches!(lines[1], "50000 100000" | "50000") && lines[2] == "77", "{named}: {text}");
    // Paths and roots agree, as HotSpot requires, and reveal no name of the machine.
    let groups: Vec<&str> = lines.iter().filter(|l| l.split(':').count() == 3).copied().collect();
    assert!(!groups.is_empty() && groups.iter().all(|line| line.ends_with(":/")), "{named}: {groups:?}");
    let mounts: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let of_cgroups = mounts.iter().filter(|fields| fields.iter().any(|f| ["cgroup", "cgroup2"].contains(f)));
    let mut count = 0;
    for fields in of_cgroups {
        assert!(fields[3] == "/" && fields[5].starts_with("ro,"), "{named}: {fields:?}");
        assert!(fields[4].starts_with("/sys/fs/cgroup") && !text.contains("sampan-"), "{named}: {fields:?}");
        count += 1;
    }
    // One of version 2, or one for each hierarchy of version 1 with the controllers that HotSpot
    // requires together.
    let together = ["memory", "cpu", "cpuacct", "cpuset"];
    let has = |controller: &&str| lines.iter().any(|l| l.contains(" - cgroup ") && l.contains(controller));
    assert!(count == 1 || together.iter().all(has), "{named}: {text}");
    Ok(())
}

#[tokio::test]
async fn an_instance_sees_its_own_limits() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    sees_its_limits(&bench, None).await?;
    bench.finish().await
}

#[tokio::test]
async fn an_instance_of_another_runtime_sees_its_own_limits() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in on_the_hosts_kernel() {
        sees_its_limits(&bench, Some(runtime)).await?;
    }
    bench.finish().await
}

#[tokio::test]
async fn every_runtime_shows_the_files_of_limits() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // gVisor's own memory counts too.
    let memory_bytes = 4 * MEMORY_BYTES;
    for runtime in runtimes() {
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.memory_bytes) = (Some(runtime.clone()), memory_bytes);
        };
        let files = [format!("cat={}", shown()[0]), format!("write={}", shown()[0])];
        let (_, text) = bench.run_changed(&files.each_ref().map(String::as_str), change).await?;
        assert!(text.starts_with(&format!("{memory_bytes}\n")) && !text.contains(" opened"), "{runtime}: {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn no_limit_can_be_changed_from_inside_and_no_other_instance_is_seen() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["serve=9000"])?;
    let other = bench.sandboxes.launch(spec).await?;
    other.wait_listening(9000, WAIT).await.expect("it listens");
    let [memory, cpu, pids] = shown();
    let above = memory.replace("memory.", "../memory.");
    let inside = ["cgroup.procs", "memory/cgroup.event_control", "memory/tasks", "cgroup.freeze", "cpuset/cpuset.cpus"];
    let files = inside.map(|file| format!("/sys/fs/cgroup/{file}"));
    let written = files.iter().map(String::as_str).chain([memory, cpu, pids]).map(|file| format!("write={file}"));
    let read = ["list=/sys/fs/cgroup/memory".to_owned(), "list=/sys/fs/cgroup".to_owned(), format!("cat={above}")];
    let args: Vec<String> = written.chain(read).collect();
    for runtime in [None].into_iter().chain(on_the_hosts_kernel().map(Some)) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (_, text) = bench.run_changed(&args, |spec| spec.runtime = runtime.clone()).await?;
        assert!(!text.contains(" opened"), "{runtime:?}: {text}");
        assert!(text.contains("memory") && !text.contains("sampan"), "{runtime:?}: {text}");
        // Names of instances' directories are numbers.
        assert!(!text.lines().any(|line| line.parse::<u64>().is_ok()), "{runtime:?}: {text}");
    }
    drop(other);
    bench.finish().await
}

#[tokio::test]
async fn limits_are_seen_where_an_image_has_something_in_their_place() -> anyhow::Result<()> {
    let bench = Bench::with(Config { assemble_mounts: false, ..Config::default() }).await?;
    std::fs::create_dir_all(bench.root.join("sys/fs"))?;
    std::os::unix::fs::symlink("/etc", bench.root.join("sys/fs/cgroup"))?;
    let cat = format!("cat={}", shown()[0]);
    let (_, text) = bench.run_changed(&[&cat], |spec| spec.memory_bytes = MEMORY_BYTES).await?;
    assert_eq!(text, format!("{MEMORY_BYTES}\n"));
    bench.finish().await
}
