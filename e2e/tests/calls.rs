//! Connections to servers that close idle connections, abort, accept few connections, or write a
//! response in two parts.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use e2e::{Platform, graceful_server, tools};
use futures_util::future::{join_all, try_join_all};

/// Number of sequential or concurrent calls of a test.
const CALLS: usize = 30;

async fn with_server() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    let folder = platform.work_dir().join("calls");
    fs::create_dir(&folder)?;
    let source = tools::workspace().join("e2e/clients/calls.c");
    let mut cc = tools::command("cc");
    tools::run_ok(cc.args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(folder.join("calls")).arg(source)).await?;
    platform.push_folder(&folder, &["/calls"], "calls:v1").await?;
    Ok(platform)
}

async fn post(platform: &Platform, function: &str) -> anyhow::Result<String> {
    let answer = platform.http.post(platform.url(function, "/")).body("hello").send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    anyhow::ensure!(status.is_success(), "{status} {text}");
    Ok(text)
}

#[tokio::test]
async fn a_post_succeeds_on_a_server_that_closes_idle_connections() -> anyhow::Result<()> {
    let platform = with_server().await?;
    let silences_ms = [500, 950, 1500, 1990, 2010, 3000, 5000];
    let pause = |ms| tokio::time::sleep(Duration::from_millis(ms));
    for ms in silences_ms {
        let flags = ["--memory", "64", "--env", "KEEP_ALIVE_S=2"];
        platform.deploy(&format!("silent-{ms}"), "calls:v1", &flags).await?;
    }
    try_join_all(silences_ms.map(async |ms| {
        let function = format!("silent-{ms}");
        for nth in 0..4 {
            post(&platform, &function).await.with_context(|| format!("call {nth} after {ms} ms of silence"))?;
            pause(ms).await;
        }
        anyhow::Ok(())
    }))
    .await?;
    platform.stop().await
}

#[tokio::test]
async fn an_event_with_an_aborted_connection_is_not_retried() -> anyhow::Result<()> {
    let platform = with_server().await?;
    platform.deploy("counted", "calls:v1", &["--type", "event", "--memory", "64"]).await?;
    let invoke = async |event: &str| tools::run(&mut platform.cli(&["invoke", "counted", "-d", event])).await;
    invoke("{}").await?;
    for wanted in ["1", "2", "3"] {
        let counted = invoke(r#"{"count":1}"#).await?;
        assert_eq!(counted.stdout.trim(), wanted, "{}", counted.stderr);
        let failed = invoke(r#"{"fail":1}"#).await?;
        assert!(!failed.ok, "{}", failed.stdout);
    }
    platform.stop().await
}

#[tokio::test]
async fn more_concurrent_calls_than_the_backlog_are_all_answered() -> anyhow::Result<()> {
    let platform = with_server().await?;
    let server = ["--env", "BACKLOG=5", "--env", "SLOW_MS=50"];
    let flags = [&["--memory", "64", "--concurrency", "50", "--timeout", "60"][..], &server].concat();
    platform.deploy("narrow", "calls:v1", &flags).await?;
    let first = post(&platform, "narrow").await?;
    let answers = join_all((0..CALLS).map(|_| post(&platform, "narrow"))).await;
    for answer in answers {
        assert_eq!(answer?, first, "the same instance");
    }
    // The server handles one connection at a time and keeps it open: an idle connection must not
    // block the others.
    platform.deploy("narrow", "calls:v1", &["--timeout", "3"]).await?;
    for answer in join_all((0..8).map(|_| post(&platform, "narrow"))).await {
        answer?;
    }
    platform.stop().await
}

/// Number of delayed acknowledgements in the network namespace of a process.
fn late_acknowledgements(pid: u32) -> anyhow::Result<u64> {
    let counters = fs::read_to_string(format!("/proc/{pid}/net/netstat"))?;
    let mut of_tcp = counters.lines().filter(|line| line.starts_with("TcpExt:")).map(str::split_whitespace);
    let (names, values) = (of_tcp.next().context("names")?, of_tcp.next().context("values")?);
    let found = names.zip(values).find(|(name, _)| *name == "DelayedACKs").context("counted")?;
    Ok(found.1.parse()?)
}

#[tokio::test]
async fn the_first_segment_of_an_answer_is_acknowledged_at_once() -> anyhow::Result<()> {
    let platform = with_server().await?;
    platform.deploy("apart", "calls:v1", &["--memory", "64"]).await?;
    post(&platform, "apart").await?;
    let pid = *graceful_server::named(&platform, "calls").first().context("an instance")?;
    let before = late_acknowledgements(pid)?;
    for _ in 0..CALLS {
        post(&platform, "apart").await?;
    }
    // A busy machine may delay some.
    let late = late_acknowledgements(pid)? - before;
    assert!(late < CALLS as u64 / 2, "{late} of {CALLS} answers waited for a late acknowledgement");
    platform.stop().await
}
