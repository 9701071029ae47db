//! Liveness and readiness: responses name the problems, tasks without state are restarted, and a
//! panic of a task with state ends the process.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::small_disk::SmallDisk;
use e2e::{Platform, wait};
use serde_json::Value;

/// Exit code after an internal fault.
const EXIT_FAULT: i32 = 7;

async fn health(platform: &Platform, path: &str) -> anyhow::Result<(u16, Value)> {
    let answer = platform.http.get(format!("{}{path}", platform.control)).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

/// Waits until a path answers with this status and text.
async fn until(platform: &Platform, path: &str, status: u16, text: &str) -> anyhow::Result<Value> {
    wait::until(&format!("{path} answers {status} with {text:?}"), || async {
        let (answered, said) = health(platform, path).await?;
        Ok((answered == status && said.to_string().contains(text)).then_some(said))
    })
    .await
}

async fn metric(platform: &Platform, line: &str) -> anyhow::Result<()> {
    wait::until(&format!("the metrics have {line:?}"), || async {
        let said = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
        Ok(said.lines().any(|of| of == line).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_healthy_platform_is_live_and_ready() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for path in ["/livez", "/readyz", "/healthz"] {
        let (status, said) = health(&platform, path).await?;
        assert_eq!((status, &said["status"], &said["problems"]), (200, &"ok".into(), &serde_json::json!([])), "{path}");
    }
    let (_, said) = health(&platform, "/healthz").await?;
    assert_eq!((&said["live"], &said["ready"]), (&true.into(), &true.into()));
    metric(&platform, "sampan_panics_total 0").await?;
    platform.stop().await
}

#[tokio::test]
async fn a_full_disk_makes_it_unready_but_live() -> anyhow::Result<()> {
    let disk = SmallDisk::make("64m")?;
    let platform = Platform::start_below(disk.path(), &[]).await?;
    disk.fill()?;
    let said = until(&platform, "/readyz", 503, "disk").await?;
    assert!(said.to_string().contains(&platform.data_dir().display().to_string()), "{said}");
    assert_eq!(health(&platform, "/livez").await?.0, 200);
    let (status, said) = health(&platform, "/healthz").await?;
    assert_eq!((status, &said["status"], &said["ready"]), (200, &"degraded".into(), &false.into()), "{said}");
    disk.make_room()?;
    until(&platform, "/readyz", 200, "ok").await?;
    platform.stop().await
}

#[tokio::test]
async fn a_locked_database_makes_it_unready() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_STORE__BUSY_TIMEOUT_MS", "100")]).await?;
    let database = std::fs::read_dir(platform.data_dir())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "db"))
        .ok_or_else(|| anyhow::anyhow!("there is no database"))?;
    // Another process holds SQLite's write lock.
    let lock = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],isolation_level=None); c.execute('BEGIN IMMEDIATE'); print('held',flush=True); sys.stdin.read()";
    let mut holder = e2e::tools::command("python3");
    holder.args(["-c", lock]).arg(&database).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut holder = holder.spawn()?;
    until(&platform, "/readyz", 503, "database refuses writes").await?;
    assert_eq!(health(&platform, "/livez").await?.0, 200);
    drop(holder.stdin.take());
    tokio::time::timeout(wait::WAIT_MAX, holder.wait()).await??;
    until(&platform, "/readyz", 200, "ok").await?;
    platform.stop().await
}

#[tokio::test]
async fn a_stateless_task_is_restarted_after_a_panic() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("PANIC_TASK_FOR_TEST", "registry sweep:2")]).await?;
    metric(&platform, "sampan_task_restarts_total{task=\"registry sweep\"} 2").await?;
    metric(&platform, "sampan_panics_total 2").await?;
    until(&platform, "/readyz", 200, "ok").await?;
    assert!(platform.platform_log().contains("task panicked; restarting"), "{}", platform.platform_log());
    // The platform is operational again.
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    platform.stop().await
}

#[tokio::test]
async fn a_crash_looping_task_is_named_and_fails_liveness() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("PANIC_TASK_FOR_TEST", "garbage collection:1000000")]).await?;
    let said = until(&platform, "/livez", 503, "garbage collection").await?;
    assert_eq!(said["problems"][0]["check"], "task", "{said}");
    assert_eq!(health(&platform, "/readyz").await?.0, 503);
    platform.stop().await
}

#[tokio::test]
async fn a_panic_of_a_stateful_task_ends_the_platform_with_exit_code_7() -> anyhow::Result<()> {
    for task in ["pool", "log writer", "cgroups"] {
        let work = tempfile::tempdir()?;
        let mut command = e2e::tools::command(&e2e::tools::sampan().display().to_string());
        command
            .args(["up", "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0", "--data-dir"])
            .arg(work.path().join("data"))
            .envs([("SAMPAN_NETWORK__ENABLED", "false"), ("PANIC_TASK_FOR_TEST", &format!("{task}:1"))]);
        let output = e2e::tools::output(&mut command).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(EXIT_FAULT), "{task}: {said}");
        let last: Vec<&str> = said.lines().rev().take(2).collect();
        assert!(last[1].starts_with("error: ") && last[1].contains(task), "{said}");
        assert!(last[0].starts_with("hint: "), "{said}");
    }
    Ok(())
}
