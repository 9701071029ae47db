//! `bench parallel-start`: instances started, called once and destroyed per second, several at a
//! time, with `runc run` of the same root file system as the peer.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;
use super::runc::Bundle;
use super::{binaries, median};

use crate::quickstart::Up;

/// Number of concurrent callers, each with its own function.
const CALLERS: usize = 8;
/// Duration of a round.
const ROUND: Duration = Duration::from_secs(5);

/// Measures both alternately, and prints medians and the ratio.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let bundle = Bundle::make(work.path(), &hello)?;
    // Idle instances stop immediately, so that each call starts one.
    let settings = [
        ("SAMPAN_POOL__KEEP_IDLE_S", "0"),
        ("SAMPAN_POOL__REAP_INTERVAL_MS", "1"),
        ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
    ];
    let up = Up::start_with(&sampan, &work.path().join("data"), &settings)?;
    let image = bundle.root().display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    for number in 0..CALLERS {
        up.quiet_client(&["deploy", &format!("start-{number}"), "--image", "hello:v1", "--no-start-check"])?;
    }
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(per_second(CALLERS, |caller, _| {
            Connection::open(gateway, "bench", &format!("/fn/default/start-{caller}/"))?.call().map(drop)
        })?);
        theirs.push(per_second(CALLERS, |caller, number| bundle.start(&format!("{caller}-{number}")).map(drop))?);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("sampan    {ours:8.0} starts and stops a second (goal >= 400)");
    println!("runc run  {theirs:8.0} starts and stops a second");
    println!("ratio {:.1}x", ours / theirs);
    Ok(())
}

/// Completed calls of `start` per second, repeated by all callers.
pub(super) fn per_second(
    callers: usize,
    start: impl Fn(usize, usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let done = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let start = &start;
                scope.spawn(move || -> anyhow::Result<usize> {
                    let mut number = 0;
                    while begun.elapsed() < ROUND {
                        start(caller, number)?;
                        number += 1;
                    }
                    Ok(number)
                })
            })
            .collect();
        let done = callers.into_iter().map(|caller| caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?);
        done.sum::<anyhow::Result<usize>>()
    })?;
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}
