//! `bench prepare`: time from a 2 GB image in a registry on loopback to a callable function, with
//! `podman pull` and `tar xzf` of the same layers as peers; bytes transferred for a second image
//! with the same base; and throughput of the platform's registry, with docker-registry as the peer.
//!
//! Each round starts every server afresh, and syncs the disk before each measurement, so that
//! writes of one do not delay another. Everything except the image is removed at the end.

mod peers;
mod proxy;
mod report;
mod sample;
mod transfer;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::peers::DockerRegistry;
use self::proxy::CountingProxy;
use self::report::Figures;
use self::sample::Sample;
use self::transfer::{Blob, Target};
use super::binaries;
use crate::process::{on_path, run as run_loud, status_within};
use crate::quickstart::Up;

/// Timeout of syncing the disk.
const SYNC_MAX: Duration = Duration::from_secs(10 * 60);
/// Programs that the bench needs, and their Debian packages.
const NEEDED: &[(&str, &str)] = &[
    ("podman", "podman"),
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("curl", "curl"),
    ("mmdebstrap", "mmdebstrap"),
];

/// Measures platform and peers alternately, and prints medians and ratios.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        bail!("this bench needs programs that are missing: apt-get install {}", missing.join(" "));
    }
    let (sampan, hello) = binaries(root)?;
    let sample = Sample::open_or_make(root, &hello)?;
    println!("image: {}", sample.describe());
    // On the image's disk, because a temporary folder may be in memory.
    let work = tempfile::Builder::new().prefix("prepare-").tempdir_in(&sample.folder)?;
    let blob = Blob::make(work.path())?;
    let registry = DockerRegistry::start(&work.path().join("registry"))?;
    for name in sample::NAMES {
        run_loud(&mut transfer::push(&sample.layout(name), &registry.image(name), None))?;
    }
    let mut figures = Figures::default();
    for round in 1..=rounds {
        let folder = work.path().join(format!("round-{round}"));
        std::fs::create_dir(&folder)?;
        prepare(&sampan, &sample, &registry, &folder, &mut figures)?;
        transfer(&sampan, &sample, &blob, &folder, &mut figures)?;
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        eprintln!("round {round} of {rounds} done");
    }
    figures.print(&sample, blob.bytes);
    Ok(())
}

/// One round of preparing the image.
fn prepare(
    sampan: &Path,
    sample: &Sample,
    registry: &DockerRegistry,
    folder: &Path,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let [first, second] = sample::NAMES;
    figures.podman_s.push(peers::podman_pull(&registry.image(first), &folder.join("podman"))?);
    figures.tar_s.push(peers::unpack(&sample.layers(first)?, &folder.join("unpacked"))?);

    let up = Up::start(sampan, &folder.join("sampan"))?;
    settle_disk()?;
    figures
        .sampan_s
        .push(timed(|| up.quiet_client(&["deploy", first, "--image", &registry.image(first), "--no-start-check"]))?);
    figures.peak_mb.push(peak_mb(up.pid())?);
    up.quiet_client(&["invoke", first])?;
    figures.cold_start = init_report(&up.client_output(&["logs", first])?);

    let proxy = CountingProxy::start(registry.port)?;
    let image = format!("127.0.0.1:{}/bench/{second}:v1", proxy.port);
    settle_disk()?;
    figures.second_s.push(timed(|| up.quiet_client(&["deploy", second, "--image", &image, "--no-start-check"]))?);
    figures.second_bytes.push(proxy.received() as f64);
    Ok(())
}

/// One round of pushes to and pulls from registries that start empty.
fn transfer(sampan: &Path, sample: &Sample, blob: &Blob, folder: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    let data_dir = folder.join("own-registry");
    let up = Up::start(sampan, &data_dir)?;
    let peer = DockerRegistry::start(&folder.join("docker-registry"))?;
    let targets = [Target::own(&up, &data_dir)?, Target::peer(&peer)];
    for (target, of) in targets.iter().zip([&mut figures.own, &mut figures.peer]) {
        of.blob_push_s.push(target.put(blob)?);
        of.blob_pull_s.push(target.get(blob)?);
        of.image_push_s.push(target.push_image(&sample.layout(sample::NAMES[0]))?);
        of.image_pull_s.push(target.pull_image(&folder.join("pulled"))?);
    }
    Ok(())
}

/// Duration of `work` in seconds.
fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Waits until earlier writes are on the disk.
fn settle_disk() -> anyhow::Result<()> {
    let status = status_within(&mut Command::new("sync"), SYNC_MAX)?;
    if !status.success() {
        bail!("sync ended with {status}");
    }
    Ok(())
}

/// Peak resident memory of a process, in MB.
fn peak_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells the peak")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("the peak is a number")?;
    Ok(kib * 1024.0 / 1e6)
}

/// The platform's INIT report line among the log lines of the first call.
fn init_report(lines: &str) -> Option<String> {
    lines.lines().find_map(|line| line.find("Init Report").map(|at| line[at..].trim().to_owned()))
}
