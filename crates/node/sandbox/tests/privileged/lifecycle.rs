//! Starting, connecting to, ending and cleaning up instances.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::Bench;
use sandbox::{Config, Error, NotListening};
use tokio::io::AsyncReadExt;

/// Longest wait of a condition in a test.
pub const WAIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_server_is_reached_through_the_instances_network() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["serve=9000"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    let mut text = String::new();
    sandbox.connect(9000).await?.read_to_string(&mut text).await?;
    assert_eq!(text, "hi\n");
    assert!(sandbox.memory_peak_bytes() > 0);
    assert!(sandbox.connect(9001).await.is_err());
    let killed = std::time::Instant::now();
    sandbox.kill();
    assert_eq!(sandbox.exited().await.signal, Some(9));
    assert!(killed.elapsed() < WAIT);
    bench.finish().await
}

#[tokio::test]
async fn the_connection_that_found_a_server_is_closed_when_no_request_takes_it() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, output) = bench.spec(&["serve-one-by-one=9000"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    let mut output = BufReader::new(output.into_reader());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        output.read_line(&mut line).map(|_| line)
    });
    assert_eq!(tokio::time::timeout(WAIT, line).await???, "closed\n");
    sandbox.kill();
    sandbox.exited().await;
    bench.finish().await
}

#[tokio::test]
async fn low_ports_and_servers_of_one_protocol_are_reached() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for (serve, port, user, want) in [("serve6=9000", 9000, "", "v6\n"), ("serve=80", 80, "app", "hi\n")] {
        let (mut spec, _output) = bench.spec(&[serve])?;
        spec.user = user.to_owned();
        let sandbox = bench.sandboxes.launch(spec).await?;
        sandbox.wait_listening(port, WAIT).await.expect("it listens");
        let mut text = String::new();
        sandbox.connect(port).await?.read_to_string(&mut text).await?;
        assert_eq!(text, want);
    }
    bench.finish().await
}

#[tokio::test]
async fn a_server_on_another_port_is_found_there() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["serve=8080"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.wait_listening(8080, WAIT).await.expect("it listens");
    match sandbox.wait_listening(9000, Duration::from_millis(50)).await {
        Err(NotListening::TimedOut(found)) => assert_eq!(found.iter().map(|l| l.port).collect::<Vec<_>>(), [8080]),
        other => panic!("{other:?}"),
    }
    let (spec, _output) = bench.spec(&["exit=7"])?;
    let ended = bench.sandboxes.launch(spec).await?.wait_listening(9000, WAIT).await;
    assert!(matches!(ended, Err(NotListening::Ended(exit)) if exit.code == Some(7)), "{ended:?}");
    bench.finish().await
}

#[tokio::test]
async fn a_server_that_listened_before_anybody_waited_for_it_was_told_of_by_the_kernel() -> anyhow::Result<()> {
    // Polling is off: the test hangs without the kernel's event.
    let bench = Bench::with(Config { listen_look_interval_ms: 3_600_000, ..Config::default() }).await?;
    let (spec, _output) = bench.spec(&["serve=9000"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    while sandbox.listeners().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    }
    for _ in 0..3 {
        let mut text = String::new();
        sandbox.connect(9000).await?.read_to_string(&mut text).await?;
        assert_eq!(text, "hi\n", "each connection is handed out once");
    }
    bench.finish().await
}

#[tokio::test]
async fn servers_are_found_by_looking_where_the_kernel_does_not_tell() -> anyhow::Result<()> {
    let bench = Bench::with(Config { listen_events: false, ..Config::default() }).await?;
    for (serve, want) in [("serve=9000", "hi\n"), ("serve6=9000", "v6\n")] {
        let (spec, _output) = bench.spec(&[serve])?;
        let sandbox = bench.sandboxes.launch(spec).await?;
        sandbox.wait_listening(9000, WAIT).await.expect("it listens");
        let mut text = String::new();
        sandbox.connect(9000).await?.read_to_string(&mut text).await?;
        assert_eq!(text, want);
    }
    bench.finish().await
}

#[tokio::test]
async fn what_the_image_did_wrong_is_named() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    fs::write(bench.root.join("text"), "no program")?;
    fs::copy(bench.root.join("text"), bench.root.join("executable"))?;
    fs::set_permissions(bench.root.join("executable"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    for (program, want) in [
        ("/nothing", "no such file"),
        ("nothing", "no such file"),
        ("/text", "not executable"),
        ("/executable", "neither a program"),
    ] {
        let error = bench.run_changed(&[], |spec| spec.argv = vec![program.to_owned()]).await.expect_err("refused");
        let error = format!("{error:#}");
        assert!(error.contains(want) && error.contains(program), "{program}: {error}");
    }
    let error = bench.run_changed(&[], |spec| spec.user = "nobody".to_owned()).await.expect_err("refused");
    assert!(format!("{error:#}").contains("\"nobody\""), "{error:#}");
    let error = bench.run_changed(&[], |spec| spec.working_dir = "/probe/below".to_owned()).await.expect_err("refused");
    assert!(format!("{error:#}").contains("/probe/below"), "{error:#}");
    bench.finish().await
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for _ in 0..20 {
        let (spec, _output) = bench.spec(&["sleep=60"])?;
        let launch = bench.sandboxes.launch(spec);
        tokio::select! {
            biased;
            _ = launch => {}
            () = tokio::task::yield_now() => {}
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn instances_beyond_the_limit_are_refused_and_then_possible_again() -> anyhow::Result<()> {
    let bench =
        Bench::with(Config { instances_max: 2, slots_ready: 0, slots_ready_max: 0, ..Config::default() }).await?;
    let (first, _one) = bench.spec(&["sleep=60"])?;
    let (second, _two) = bench.spec(&["sleep=60"])?;
    let (first, second) = (bench.sandboxes.launch(first).await?, bench.sandboxes.launch(second).await?);
    let (third, _three) = bench.spec(&["sleep=60"])?;
    assert!(matches!(bench.sandboxes.launch(third).await, Err(Error::InstancesExhausted { instances_max: 2 })));
    drop(first);
    while bench.sandboxes.count() > 1 {
        tokio::task::yield_now().await;
    }
    let (again, _output) = bench.spec(&["sleep=60"])?;
    bench.sandboxes.launch(again).await?;
    drop(second);
    bench.finish().await
}

/// Names the folder of the platform that [`a_platform_to_be_killed`] is.
const VICTIM: &str = "SAMPAN_TEST_VICTIM";

/// Not a test of its own: the next one runs it in another process, because a killed platform runs
/// no destructor.
#[tokio::test]
async fn a_platform_to_be_killed() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os(VICTIM) else { return Ok(()) };
    let bench = Bench::inside(folder.as_ref(), Config::default()).await?;
    let (spec, _output) = bench.spec(&["sleep=600"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    println!("\nvictim {}", sandbox.pid());
    std::future::pending().await
}

#[tokio::test]
async fn what_a_killed_platform_left_is_ended_and_removed_by_the_next() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "lifecycle::a_platform_to_be_killed", "--nocapture"])
        .env(VICTIM, folder.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(victim.stdout.take().expect("piped"));
    let pid = output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("victim ")?.parse::<i32>().ok());
    victim.kill()?;
    victim.wait()?;
    let program = format!("/proc/{}/exe", pid.expect("it says which process it started"));
    let bench = Bench::inside(folder.path(), Config::default()).await?;
    // The kernel ends it with the platform, but may still be busy with that.
    assert!(bench.recovered.killed <= 1 && bench.recovered.removed >= 1, "{:?}", bench.recovered);
    assert!(fs::read_link(&program).is_err(), "the instance is gone");
    for cgroup in bench.instance_cgroups() {
        assert_eq!(fs::read_to_string(cgroup.join("cgroup.procs"))?, "", "{}", cgroup.display());
    }
    bench.finish().await
}
