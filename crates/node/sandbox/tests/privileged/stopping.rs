//! Stopping instances with a signal before the kill.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use sandbox::{ExitStatus, LaunchSpec, Sandbox};

use crate::lifecycle::WAIT;
use crate::runtimes::installed;
use crate::support::Bench;

/// A grace that never expires in a test.
const LONG: Duration = Duration::from_secs(600);
/// A grace that does.
const SHORT: Duration = Duration::from_millis(200);

/// Starts the probe, waits until it is ready, stops it, and returns its exit status and the output
/// after that.
pub async fn ended(
    bench: &Bench,
    args: &[&str],
    change: impl FnOnce(&mut LaunchSpec),
    end: impl FnOnce(&Sandbox),
) -> anyhow::Result<(ExitStatus, String)> {
    let (mut spec, output) = bench.spec(args)?;
    change(&mut spec);
    let sandbox = bench.sandboxes.launch(spec).await?;
    let mut output = BufReader::new(output.into_reader());
    let (mut output, line) = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        output.read_line(&mut line).map(|_| (output, line))
    })
    .await??;
    anyhow::ensure!(line == "ready\n", "it said {line:?}");
    end(&sandbox);
    let exit = tokio::time::timeout(WAIT, sandbox.exited()).await?;
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).map(|_| text)
    })
    .await??;
    Ok((exit, text))
}

#[tokio::test]
async fn whoever_expects_the_signal_ends_by_itself_and_others_are_killed_at_once() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (own, killed) = ((Some(3), None), (None, Some(libc::SIGKILL)));
    for (args, signal, want, said) in [
        (&["catch=15", "ready"][..], libc::SIGTERM, own, "asked 15\n"),
        (&["catch=3", "ready"], libc::SIGQUIT, own, "asked 3\n"),
        // systemd shuts down on SIGRTMIN+3.
        (&["catch=37", "ready"], 37, own, "asked 37\n"),
        (&["sigwait"], libc::SIGTERM, own, "asked 15\n"),
        (&["signalfd"], libc::SIGTERM, own, "asked 15\n"),
        (&["ready"], libc::SIGTERM, killed, ""),
        (&["catch=15", "ready"], libc::SIGQUIT, killed, ""),
        (&["ready"], libc::SIGKILL, killed, ""),
    ] {
        let (exit, text) = ended(&bench, args, |_| (), |sandbox| sandbox.stop(signal, LONG)).await?;
        assert_eq!(((exit.code, exit.signal), text.as_str()), (want, said), "{args:?} {signal}");
    }
    bench.finish().await
}

#[tokio::test]
async fn whoever_does_not_end_is_killed_after_the_grace_or_when_somebody_wants_it_gone() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let lingers = ["linger", "catch=15", "ready"];
    let (exit, text) = ended(&bench, &lingers, |_| (), |sandbox| sandbox.stop(libc::SIGTERM, SHORT)).await?;
    assert_eq!((exit.signal, text.as_str()), (Some(libc::SIGKILL), "asked 15\n"));
    let without = |sandbox: &Sandbox| sandbox.stop(libc::SIGTERM, Duration::ZERO);
    let (exit, text) = ended(&bench, &lingers, |_| (), without).await?;
    assert_eq!((exit.signal, text.as_str()), (Some(libc::SIGKILL), ""), "no grace");
    let hurried = |sandbox: &Sandbox| {
        sandbox.stop(libc::SIGTERM, LONG);
        sandbox.kill();
    };
    assert_eq!(ended(&bench, &lingers, |_| (), hurried).await?.0.signal, Some(libc::SIGKILL));
    bench.finish().await
}

#[tokio::test]
async fn a_frozen_instance_hears_the_signal() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for args in [&["catch=15", "ready"][..], &["sigwait"]] {
        let stop = |sandbox: &Sandbox| {
            sandbox.freeze().expect("it runs");
            sandbox.stop(libc::SIGTERM, LONG);
        };
        let (exit, text) = ended(&bench, args, |_| (), stop).await?;
        assert_eq!((exit.code, text.as_str()), (Some(3), "asked 15\n"), "{args:?}");
    }
    bench.finish().await
}

#[tokio::test]
async fn the_end_of_all_bounds_every_grace() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["linger", "catch=15", "ready"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    sandbox.stop(libc::SIGTERM, LONG);
    bench.finish().await?;
    assert_eq!(sandbox.exit().and_then(|exit| exit.signal), Some(libc::SIGKILL));
    Ok(())
}

#[tokio::test]
async fn other_runtimes_pass_the_signal_on_to_whoever_expects_it() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for name in ["runc", "crun"] {
        let runtime = installed(name);
        let under = |spec: &mut LaunchSpec| {
            (spec.runtime, spec.memory_bytes) = (Some(runtime.clone()), 256 << 20);
        };
        let stop = |sandbox: &Sandbox| sandbox.stop(libc::SIGTERM, LONG);
        let (exit, text) = ended(&bench, &["catch=15", "ready"], under, stop).await?;
        assert_eq!((exit.code, text.as_str()), (Some(3), "asked 15\n"), "{runtime}");
        let (exit, _) = ended(&bench, &["ready"], under, stop).await?;
        assert_eq!(exit.signal, Some(libc::SIGKILL), "{runtime}");
    }
    bench.finish().await
}
