//! Resources that the kernel has once for the whole machine: an instance can use its own share
//! only.

use std::fs;
use std::io::{BufRead, BufReader};

use sandbox::{Config, Sandbox};

use crate::runtimes::on_the_hosts_kernel;
use crate::support::Bench;

/// Memory of an instance here: a runtime's own memory counts too.
const MEMORY_BYTES: u64 = 256 << 20;

/// Sampan's own isolation, and the runtimes that use the host's kernel.
fn isolations() -> impl Iterator<Item = Option<sandbox::Runtime>> {
    std::iter::once(None).chain(on_the_hosts_kernel().map(Some))
}

/// An instance that has executed its arguments and keeps running, and its output.
async fn held(bench: &Bench, args: &[&str], runtime: Option<sandbox::Runtime>) -> anyhow::Result<(Sandbox, String)> {
    let (mut spec, output) = bench.spec(&[args, &["sleep=600"]].concat())?;
    (spec.runtime, spec.memory_bytes) = (runtime, MEMORY_BYTES);
    let sandbox = bench.sandboxes.launch(spec).await?;
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(output.into_reader()).read_line(&mut line).map(|_| line)
    });
    Ok((sandbox, line.await??))
}

#[tokio::test]
async fn what_the_kernel_counts_by_user_counts_for_each_instance_alone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let watches: usize = fs::read_to_string("/proc/sys/user/max_inotify_instances")?.trim().parse()?;
    let Config { signals_pending_max, message_queues_bytes_max, .. } = Config::default();
    // The kernel adds some hundred bytes of its own to a queue of ten messages of 8 KiB.
    let queues = message_queues_bytes_max / (10 * 8192 + 1024);
    let all = format!("counted {} {queues} {signals_pending_max}\n", watches.min(900));
    for runtime in isolations() {
        let mut holding = Vec::new();
        for _ in 0..2 {
            let (sandbox, said) = held(&bench, &["counted"], runtime.clone()).await?;
            assert_eq!(said, all, "{runtime:?} beside {}", holding.len());
            holding.push(sandbox);
        }
        // Values of the host's root do not change.
        let status = fs::read_to_string("/proc/self/status")?;
        let queued = status.lines().find_map(|line| line.strip_prefix("SigQ:\t")?.split_once('/')?.0.parse().ok());
        assert!(queued.is_some_and(|queued: u64| queued < signals_pending_max), "{queued:?}");
    }
    bench.finish().await
}

#[tokio::test]
async fn an_instance_is_told_the_limits_that_it_has() -> anyhow::Result<()> {
    let bench = Bench::with(Config { signals_pending_max: 77, ..Config::default() }).await?;
    for runtime in isolations() {
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
        };
        let (_, text) = bench.run_changed(&["cat=/proc/self/limits", "counted"], change).await?;
        let words = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("Max pending signals"), ["77", "77"], "{runtime:?}");
        assert_eq!(words("Max msgqueue size"), ["819200", "819200"], "{runtime:?}");
        assert!(text.trim_end().ends_with(" 77"), "{runtime:?}: {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn memory_in_sockets_ends_with_the_instances_memory() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for kind in ["tcp", "udp"] {
        let hold = format!("hold={kind}:300");
        let (exit, text) = bench.run(&[&hold]).await?;
        let held = text.trim_end().strip_prefix("held ").and_then(|text| text.strip_suffix(" MB")?.parse::<u64>().ok());
        // Version 2 kills it as any instance over its memory limit; version 1 only blocks its
        // sending.
        match held {
            Some(held) => assert!(held <= 80, "{kind}: {held} MB by an instance of 64"),
            None => assert!(exit.out_of_memory, "{kind}: {exit:?} {text}"),
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn all_instances_together_have_a_part_of_the_machines_processes_and_socket_memory() -> anyhow::Result<()> {
    let bench = Bench::with(Config { machine_tasks_percent_max: 10, ..Config::default() }).await?;
    let number = |file: &str| fs::read_to_string(file).map(|text| text.trim().parse::<u64>().unwrap_or(u64::MAX));
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?) / 10;
    let of_all = |file: &str| bench.cgroups().iter().find_map(|place| fs::read_to_string(place.join(file)).ok());
    assert_eq!(of_all("pids.max").map(|text| text.trim().to_owned()), Some(most.to_string()));
    if let Some(sockets) = of_all("memory.kmem.tcp.limit_in_bytes") {
        let tcp_mem = fs::read_to_string("/proc/sys/net/ipv4/tcp_mem")?;
        let pages: u64 = tcp_mem.split_whitespace().nth(2).unwrap_or_default().parse()?;
        assert_eq!(sockets.trim().parse::<u64>()?, pages / 2 * 4096);
    }
    bench.finish().await
}

#[tokio::test]
async fn programs_have_no_filters_of_their_own_unless_they_may_and_few_terminals() -> anyhow::Result<()> {
    for inside in [false, true] {
        let bench = Bench::with(Config { filters_inside: inside, terminals_max: 5, ..Config::default() }).await?;
        for runtime in isolations() {
            let change = |spec: &mut sandbox::LaunchSpec| {
                (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
            };
            let (_, text) = bench.run_changed(&["aio", "setns", "terminals", "filters"], change).await?;
            let said = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
            assert_eq!((said("aio"), said("terminals"), said("others")), ("Function not implemented", "5", "0"));
            // The namespace that it is in; another runtime's filter blocks the call.
            let own = if runtime.is_none() { "Invalid argument" } else { "Operation not permitted" };
            assert_eq!(said("setns"), own, "{runtime:?}");
            for call in ["seccomp", "prctl", "long", "socket", "group"] {
                assert_eq!(said(call) == "worked", inside, "{runtime:?} {call}: {text}");
            }
        }
        bench.finish().await?;
    }
    Ok(())
}

/// The kernel's limit for compiled filters; restored when this is dropped.
struct CompiledMax(String);

impl CompiledMax {
    const FILE: &str = "/proc/sys/net/core/bpf_jit_limit";

    fn set(value: &str) -> anyhow::Result<Self> {
        let before = fs::read_to_string(Self::FILE)?;
        fs::write(Self::FILE, value)?;
        Ok(Self(before))
    }
}

impl Drop for CompiledMax {
    fn drop(&mut self) {
        fs::write(Self::FILE, &self.0).expect("as it was");
    }
}

#[tokio::test]
async fn an_instance_starts_although_others_filled_the_memory_for_compiled_filters() -> anyhow::Result<()> {
    let bench = Bench::with(Config { filters_inside: true, ..Config::default() }).await?;
    bench.run(&["ids"]).await?;
    // Below the present use: programs without privileges on the machine cannot compile filters now.
    let full = CompiledMax::set("4096")?;
    let started = bench.run(&["filters", "cat=/proc/self/status"]).await;
    drop(full);
    let (_, text) = started?;
    assert!(!text.contains("seccomp worked") && text.contains("Seccomp:\t2\n"), "{text}");
    bench.finish().await
}

#[tokio::test]
async fn terminals_that_are_kept_for_the_machine_are_left_to_it() -> anyhow::Result<()> {
    let number = |name: &str| {
        fs::read_to_string(format!("/proc/sys/kernel/pty/{name}"))?.trim().parse::<u32>().map_err(anyhow::Error::from)
    };
    let (most, kept) = (number("max")?, number("reserve")?);
    let bench = Bench::with(Config { terminals_max: most, ..Config::default() }).await?;
    let (_, text) =
        bench.run_changed(&["terminals"], |spec| (spec.files_max, spec.memory_bytes) = (20_000, 1 << 30)).await?;
    let taken: u32 = text.trim().strip_prefix("terminals ").unwrap_or_default().parse()?;
    // Other programs of this machine may have some too.
    assert!(taken > 0 && taken <= most - kept, "{taken} of {most}");
    bench.finish().await
}
