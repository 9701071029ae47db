//! Egress of instances, on a machine that is a network namespace of its own: the real machine's
//! network is not touched. Needs `ip` (iproute2) to build it.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use sandbox::{Config, NetworkConfig};
use tempfile::TempDir;

use crate::support::Bench;

/// The machine, and a host outside.
const MACHINE: &str = "198.51.100.1";
const OUTSIDE: &str = "198.51.100.2";
const METADATA: &str = "169.254.169.254";
const PORT: u16 = 7000;

/// Runs a test on the machine.
fn on_machine<F: Future<Output = anyhow::Result<()>>>(test: impl FnOnce() -> F) -> anyhow::Result<()> {
    let real = sys::namespace::current_network()?;
    let machine = sys::namespace::new_network(real.as_fd(), || Ok(()))?;
    let mut outcome = Ok(());
    sys::namespace::in_network(machine.as_fd(), real.as_fd(), || {
        // Threads and processes that start here stay in the machine's namespace.
        outcome = build(&machine).and_then(|_outside| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test())
        });
        Ok(())
    })?;
    outcome
}

fn build(machine: &OwnedFd) -> anyhow::Result<OwnedFd> {
    let outside = sys::namespace::new_network(machine.as_fd(), || Ok(()))?;
    let there = format!("/proc/{}/fd/{}", std::process::id(), outside.as_raw_fd());
    ip(&format!("link add up0 type veth peer name out0 netns {there}"))?;
    ip(&format!("address add {MACHINE}/24 dev up0"))?;
    ip("link set up0 up")?;
    let mut built = Ok(String::new());
    sys::namespace::in_network(outside.as_fd(), machine.as_fd(), || {
        built = ip(&format!("address add {OUTSIDE}/24 dev out0"))
            .and_then(|_| ip(&format!("address add {METADATA}/32 dev lo")))
            .and_then(|_| ip("link set out0 up"));
        serve()
    })?;
    built?;
    ip(&format!("route add default via {OUTSIDE}"))?;
    // The machine's own server, which instances must not reach.
    serve()?;
    Ok(outside)
}

/// Answers every connection with its source address.
fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // In one write: the client reads once.
            stream.write_all(format!("you are {}", peer.ip()).as_bytes()).ok();
        }
    });
    Ok(())
}

fn ip(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("ip (iproute2) is needed")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Links, addresses and routes of the machine, once the link to the outside has come up, which
/// takes the kernel a moment.
fn traces() -> anyhow::Result<[String; 3]> {
    let deadline = std::time::Instant::now() + crate::lifecycle::WAIT;
    while ip("-o link")?.contains("NO-CARRIER") {
        ensure!(std::time::Instant::now() < deadline, "the link to the outside does not come up");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok([ip("-o link")?, ip("-o -4 address")?, ip("-4 route show table all")?])
}

async fn bench(folder: &Path) -> anyhow::Result<Bench> {
    Bench::connected(folder, Config::default(), NetworkConfig::default()).await
}

#[test]
fn an_instance_reaches_the_outside_and_nobody_else() -> anyhow::Result<()> {
    on_machine(async || {
        let before = traces()?;
        let folder = TempDir::new()?;
        let bench = bench(folder.path()).await?;
        let (mut spec, _output) = bench.spec(&["cat=/etc/resolv.conf", "serve=7000"])?;
        spec.public_network = true;
        let neighbour = bench.sandboxes.launch(spec).await?;
        neighbour.wait_listening(PORT, crate::lifecycle::WAIT).await.expect("it listens");
        let neighbours = ip("-4 route show")?;
        let neighbours = neighbours.lines().find_map(|route| route.split(" dev smp").next().filter(|to| *to != route));
        let neighbours = neighbours.context("it has a route")?.to_owned();

        let ask = |address: &str| format!("ask={address}:{PORT}");
        let asked = [OUTSIDE, MACHINE, METADATA, &neighbours].map(ask);
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let (mut spec, output) = bench.spec(&[&asked[..], &["cat=/etc/resolv.conf"]].concat())?;
        spec.public_network = true;
        let sandbox = bench.sandboxes.launch(spec).await?;
        let text = tokio::task::spawn_blocking(move || output.text()).await??;
        sandbox.exited().await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{OUTSIDE} you are {MACHINE}"));
        for (line, who) in lines[1..4].iter().zip([MACHINE, METADATA, &neighbours]) {
            assert_eq!(*line, format!("{who} Connection refused"));
        }
        assert!(lines[4].starts_with("nameserver 10.222."), "{text}");
        let bytes = sandbox.network_bytes()?;
        assert!(bytes.sent > 100 && bytes.received > 100, "also when it has ended: {bytes:?}");
        drop((sandbox, neighbour));
        bench.finish().await?;
        assert_eq!(traces()?, before);
        Ok(())
    })
}

#[test]
fn an_instance_without_public_network_has_no_link() -> anyhow::Result<()> {
    on_machine(async || {
        let folder = TempDir::new()?;
        let bench = bench(folder.path()).await?;
        let (spec, output) = bench.spec(&["cat=/proc/net/dev", "ask=198.51.100.2:7000", "cat=/etc/resolv.conf"])?;
        let sandbox = bench.sandboxes.launch(spec).await?;
        let text = tokio::task::spawn_blocking(move || output.text()).await??;
        assert!(!text.contains("eth0") && text.contains("198.51.100.2 Network is unreachable"), "{text}");
        assert!(!text.contains("nameserver"), "{text}");
        assert_eq!(sandbox.network_bytes()?, sandbox::NetworkBytes::default());
        drop(sandbox);
        bench.finish().await
    })
}

/// Names the folder of the platform that [`a_connected_platform_to_be_killed`] is.
const VICTIM: &str = "SAMPAN_TEST_CONNECTED_VICTIM";

/// Not a test of its own: the next one runs it in another process, in its machine's network.
#[tokio::test]
async fn a_connected_platform_to_be_killed() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os(VICTIM) else { return Ok(()) };
    let bench = bench(folder.as_ref()).await?;
    let (mut spec, _output) = bench.spec(&["sleep=600"])?;
    spec.public_network = true;
    let _sandbox = bench.sandboxes.launch(spec).await?;
    println!("\nvictim runs");
    std::future::pending().await
}

#[test]
fn the_network_of_a_killed_platform_is_removed_by_the_next() -> anyhow::Result<()> {
    on_machine(async || {
        let before = traces()?;
        let folder = TempDir::new()?;
        let mut victim = Command::new(std::env::current_exe()?)
            .args(["--exact", "outside::a_connected_platform_to_be_killed", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(victim.stdout.take().expect("piped"));
        let runs = output.lines().map_while(Result::ok).any(|line| line == "victim runs");
        assert!(runs && ip("-o link")?.contains("smp"), "it has links");
        victim.kill()?;
        victim.wait()?;
        // The kernel removes its links with their namespaces, at some later time; the block and its
        // address stay.
        assert!(ip("-o -4 address")?.contains("10.222."), "what it claimed outlives the platform");
        let bench = bench(folder.path()).await?;
        assert!(bench.recovered.removed >= 1, "{:?}", bench.recovered);
        let (mut spec, output) = bench.spec(&["ask=198.51.100.2:7000"])?;
        spec.public_network = true;
        let sandbox = bench.sandboxes.launch(spec).await?;
        let text = tokio::task::spawn_blocking(move || output.text()).await??;
        assert_eq!(text, format!("{OUTSIDE} you are {MACHINE}\n"));
        drop(sandbox);
        bench.finish().await?;
        assert_eq!(traces()?, before);
        Ok(())
    })
}

#[test]
fn a_hundred_connected_instances_leave_no_link() -> anyhow::Result<()> {
    on_machine(async || {
        let before = traces()?;
        let folder = TempDir::new()?;
        let bench = bench(folder.path()).await?;
        for _ in 0..100 {
            let (_, text) = bench.run_changed(&["ids"], |spec| spec.public_network = true).await?;
            assert_eq!(text, "0:0 pid 1\n");
        }
        bench.finish().await?;
        assert_eq!(traces()?, before);
        Ok(())
    })
}
