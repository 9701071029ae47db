//! Instances of other runtimes: start, connections, end and clean-up as under Sampan's own
//! isolation, with each runtime that is supported by name.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sandbox::{Config, Runtime};
use tokio::io::AsyncReadExt;

use crate::lifecycle::WAIT;
use crate::support::Bench;

/// Memory of an instance here: a runtime's own memory counts too.
const MEMORY_BYTES: u64 = 256 << 20;

/// A runtime; one that is missing fails the test, so that no suite passes without it.
pub fn installed(name: &str) -> Runtime {
    let runtime = Runtime::find(name);
    runtime.unwrap_or_else(|error| panic!("{error}: `apt-get install {name}`, which `cargo xtask test` does"))
}

/// The runtimes that are supported by name.
pub fn runtimes() -> Vec<Runtime> {
    ["runc", "crun", "runsc"].map(installed).to_vec()
}

/// Sampan's own isolation, and the runtimes.
pub fn every_isolation() -> impl Iterator<Item = Option<Runtime>> {
    std::iter::once(None).chain(runtimes().into_iter().map(Some))
}

/// Runtimes that use the host's kernel.
pub fn on_the_hosts_kernel() -> impl Iterator<Item = Runtime> {
    runtimes().into_iter().filter(|runtime| runtime.name() != "runsc")
}

#[tokio::test]
async fn a_server_of_each_runtime_is_reached_frozen_and_killed() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        let (mut spec, output) = bench.spec(&["serve=9000"])?;
        (spec.runtime, spec.memory_bytes) = (Some(runtime.clone()), MEMORY_BYTES);
        let sandbox = bench.sandboxes.launch(spec).await?;
        sandbox.wait_listening(9000, WAIT).await.expect("it listens");
        let mut text = String::new();
        sandbox.connect(9000).await?.read_to_string(&mut text).await?;
        assert_eq!(text, "hi\n", "{runtime}");
        assert!(sandbox.memory_peak_bytes() > 0, "{runtime}");
        sandbox.freeze()?;
        sandbox.thaw()?;
        text.clear();
        sandbox.connect(9000).await?.read_to_string(&mut text).await?;
        assert_eq!(text, "hi\n", "{runtime} after it was frozen");
        sandbox.kill();
        assert_eq!(sandbox.exited().await.signal, Some(9), "{runtime}");
        drop(sandbox);
        // A runtime that relays the output itself loses what it has not relayed yet when it is
        // killed.
        let text = tokio::task::spawn_blocking(move || output.text()).await??;
        assert!("listening\n".starts_with(&text), "{runtime}: {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn identity_environment_files_and_exit_code_are_as_in_our_own_isolation() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let args = ["ids", "env=COLOUR", "env=HOME", "env=HOSTNAME", "cwd", "cat=/etc/hostname", "owner=/probe", "exit=7"];
    for runtime in runtimes() {
        let (exit, text) = bench
            .run_changed(&args, |spec| {
                (spec.runtime, spec.memory_bytes) = (Some(runtime.clone()), MEMORY_BYTES);
                (spec.user, spec.working_dir) = ("app".to_owned(), "/srv/made".to_owned());
            })
            .await?;
        assert_eq!(text, "1000:1000 pid 1\nred\n/home/app\ninstance\n/srv/made\ninstance\n0:0\n", "{runtime}");
        assert_eq!((exit.code, exit.out_of_memory), (Some(7), false), "{runtime}");
    }
    bench.finish().await
}

#[tokio::test]
async fn too_much_memory_is_told_and_files_are_bounded() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in on_the_hosts_kernel() {
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.memory_bytes) = (Some(runtime.clone()), MEMORY_BYTES);
        };
        let (exit, text) = bench.run_changed(&["alloc=400"], change).await?;
        assert!(exit.out_of_memory && !text.contains("allocated"), "{runtime}: {exit:?} {text}");
        let files = ["fill=/tmp/a:20", "fill=/b:20", "fill=/dev/shm/c:80", "fill=/tmp/d:2"];
        let (exit, text) = bench.run_changed(&files, change).await?;
        assert_eq!(exit.code, Some(0), "{runtime}: {text}");
        assert_eq!((text.matches("No space left").count(), text.matches("whole").count()), (3, 1), "{runtime}: {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn a_runtime_on_the_hosts_kernel_confines_as_our_own_isolation_does() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let args = [
        "unshare",
        "mount",
        "packet",
        "mknod",
        "files",
        "write=/proc/sys/kernel/core_pattern",
        "cat=/proc/interrupts",
        "cat=/proc/self/status",
    ];
    for runtime in on_the_hosts_kernel() {
        let change = |spec: &mut sandbox::LaunchSpec| spec.runtime = Some(runtime.clone());
        let (_, text) = bench.run_changed(&args, change).await?;
        for refused in ["unshare Operation", "mount Operation", "packet Operation", "mknod Operation"] {
            assert!(text.contains(refused), "{runtime}: {refused}\n{text}");
        }
        for said in ["files bounded", "core_pattern Permission denied", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(text.contains(said), "{runtime}: {said}\n{text}");
        }
        assert!(!text.contains("CPU0"), "{runtime}: {text}");
        assert!(text.contains("CapBnd:\t00000000000005fb"), "{runtime}: {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn what_a_runtime_cannot_start_ends_with_its_words_in_the_output() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.argv) = (Some(runtime.clone()), vec!["/nothing".to_owned()]);
            spec.memory_bytes = MEMORY_BYTES;
        };
        let (exit, text) = bench.run_changed(&[], change).await?;
        assert!(exit.code.is_some_and(|code| code != 0), "{runtime}: {exit:?}");
        assert!(text.contains("/nothing"), "{runtime}: {text}");
    }
    bench.finish().await
}

/// Names the folder of the platform that [`a_platform_to_be_killed`] is.
const VICTIM: &str = "SAMPAN_TEST_RUNTIMES_VICTIM";

/// Not a test of its own: the next one runs it in another process.
#[tokio::test]
async fn a_platform_to_be_killed() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os(VICTIM) else { return Ok(()) };
    let bench = Bench::inside(folder.as_ref(), Config::default()).await?;
    let mut running = Vec::new();
    for runtime in runtimes() {
        let (mut spec, output) = bench.spec(&["serve=9000"])?;
        (spec.runtime, spec.memory_bytes) = (Some(runtime), MEMORY_BYTES);
        let sandbox = bench.sandboxes.launch(spec).await?;
        sandbox.wait_listening(9000, WAIT).await.expect("it listens");
        println!("\nvictim {}", sandbox.pid());
        running.push((sandbox, output));
    }
    println!("\nall");
    std::future::pending().await
}

#[tokio::test]
async fn instances_of_each_runtime_that_a_killed_platform_left_are_ended_and_removed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "runtimes::a_platform_to_be_killed", "--nocapture"])
        .env(VICTIM, folder.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(victim.stdout.take().expect("piped"));
    let lines = output.lines().map_while(Result::ok).take_while(|line| line != "all");
    let pids: Vec<i32> = lines.filter_map(|line| line.strip_prefix("victim ")?.parse().ok()).collect();
    victim.kill()?;
    victim.wait()?;
    assert_eq!(pids.len(), runtimes().len());
    let program = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe"));
    let bench = Bench::inside(folder.path(), Config::default()).await?;
    assert!(pids.iter().all(|pid| program(pid).is_err()), "they are gone");
    bench.finish().await
}
