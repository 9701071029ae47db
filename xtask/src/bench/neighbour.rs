//! `bench neighbour`: the effect of a function that spins on the processor on calls to another
//! function.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;
use super::{binaries, median, quantile};

use crate::quickstart::Up;

/// Duration of each state in a round.
const ROUND: Duration = Duration::from_secs(3);
/// Pause between calls to the quiet function, so that its calls do not compete with each other.
const PAUSE: Duration = Duration::from_millis(2);
/// Number of concurrent spinning calls, each in its own instance: more than cores.
const SPINNERS: usize = 4;

/// Measures the quiet function alone and together with the spinning one, alternately.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    let up = Up::start_with(&sampan, &work.path().join("data"), &[])?;
    let image = image.display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    for name in ["quiet", "noisy"] {
        up.quiet_client(&["deploy", name, "--image", "hello:v1", "--memory", "512", "--timeout", "60"])?;
    }
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.extend(calls(gateway)?);
        // Longer than the round, so that the calls spin throughout.
        let spin_ms = ROUND.as_millis() + 1000;
        let spinners: Vec<_> = (0..SPINNERS)
            .map(|_| {
                let path = format!("/fn/default/noisy/spin?{spin_ms}");
                std::thread::spawn(move || Connection::open(gateway, "bench", &path)?.call())
            })
            .collect();
        beside.extend(calls(gateway)?);
        for spinner in spinners {
            spinner.join().map_err(|_| anyhow::anyhow!("a spinning call panicked"))??;
        }
    }
    for (name, times) in [("alone", &mut alone), ("beside a spinning one", &mut beside)] {
        println!("{name:22} p50 {:8.0} us  p99 {:8.0} us", median(times), quantile(times, 0.99));
    }
    println!("p99 grows {:.1}x", quantile(&mut beside, 0.99) / quantile(&mut alone, 0.99));
    Ok(())
}

fn calls(gateway: SocketAddr) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(gateway, "bench", "/fn/default/quiet/")?;
    connection.call()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < ROUND {
        std::thread::sleep(PAUSE);
        times.push(connection.call()?.as_secs_f64() * 1e6);
    }
    Ok(times)
}
