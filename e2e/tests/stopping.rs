//! How instances end: by their stop signal with a grace period, unless they failed.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::Duration;

use e2e::{Platform, graceful_server, tools, wait};
use serde_json::json;

/// A platform with the signal-reporting server as `web`, with the longest grace period; calls start
/// its instances.
async fn with_server(settings: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(settings).await?;
    graceful_server::push(&platform).await?;
    platform.deploy("web", "graceful:v1", &["--memory", "128", "--no-start-check", "--stop-grace", "30"]).await?;
    Ok(platform)
}

/// Calls a function and returns the process that serves it.
async fn server(platform: &Platform, function: &str) -> anyhow::Result<u32> {
    let before = graceful_server::named(platform, "graceful");
    let answer = platform.get(function, "/").await?;
    anyhow::ensure!(answer.status().is_success(), "{} {}", answer.status(), answer.text().await?);
    let mut now = graceful_server::named(platform, "graceful");
    now.retain(|pid| !before.contains(pid));
    anyhow::ensure!(now.len() == 1, "{before:?} {now:?}");
    Ok(now[0])
}

async fn signalled_and_exited(pid: u32) -> anyhow::Result<()> {
    graceful_server::until_signalled(pid).await?;
    graceful_server::allow_exit(pid)?;
    graceful_server::until_gone(pid).await
}

#[tokio::test]
async fn an_update_and_a_deletion_send_the_stop_signal() -> anyhow::Result<()> {
    let platform = with_server(&[]).await?;
    let updated = server(&platform, "web").await?;
    tools::run_ok(&mut platform.cli(&["deploy", "web", "--memory", "256"])).await?;
    signalled_and_exited(updated).await?;
    let deleted = server(&platform, "web").await?;
    tools::run_ok(&mut platform.cli(&["delete", "web"])).await?;
    signalled_and_exited(deleted).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_idle_frozen_instance_gets_the_stop_signal() -> anyhow::Result<()> {
    let settings = [("SAMPAN_POOL__KEEP_IDLE_S", "3"), ("SAMPAN_POOL__FREEZE_AFTER_MS", "100")];
    let platform = with_server(&settings).await?;
    signalled_and_exited(server(&platform, "web").await?).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_instance_that_works_on_for_a_caller_that_disconnected_is_not_idle() -> anyhow::Result<()> {
    let settings = [("SAMPAN_POOL__KEEP_IDLE_S", "1"), ("SAMPAN_POOL__FREEZE_AFTER_MS", "100")];
    let platform = with_server(&settings).await?;
    tools::run_ok(&mut platform.cli(&["deploy", "web", "--timeout", "120"])).await?;
    // wp-cron does the same: the client disconnects, and the server does not look.
    let left = platform.http.get(platform.url("web", "/wait")).timeout(Duration::from_secs(2)).send().await;
    assert!(left.is_err_and(|error| error.is_timeout()));
    let working = graceful_server::named(&platform, "graceful");
    assert_eq!(working.len(), 1);
    let other = server(&platform, "web").await?;
    // That one has become idle later, and is stopped first.
    signalled_and_exited(other).await?;
    assert_eq!(graceful_server::name(working[0]).as_deref(), Some("graceful"));
    graceful_server::answer(working[0])?;
    signalled_and_exited(working[0]).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_instance_no_longer_provisioned_gets_the_stop_signal() -> anyhow::Result<()> {
    let platform = with_server(&[("SAMPAN_POOL__KEEP_IDLE_S", "1")]).await?;
    platform.cli_json(&["publish", "web"]).await?;
    let name = json!({"FunctionName": "web", "Qualifier": "1"});
    let put = json!({"FunctionName": "web", "Qualifier": "1", "VersionProvisionedConcurrencyNum": 1});
    platform.api.call("PutProvisionedConcurrencyConfig", put).await?;
    let ready =
        wait::until("it is ready", || async { Ok(graceful_server::named(&platform, "graceful").first().copied()) })
            .await?;
    assert!(platform.get("web:1", "/").await?.status().is_success());
    platform.api.call("DeleteProvisionedConcurrencyConfig", name).await?;
    signalled_and_exited(ready).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_request_starts_once_the_evicted_instance_has_ended() -> anyhow::Result<()> {
    let platform = with_server(&[("SAMPAN_POOL__MEMORY_MB_MAX", "128")]).await?;
    platform.deploy("other", "graceful:v1", &["--memory", "128", "--no-start-check", "--stop-grace", "0"]).await?;
    let evicted = server(&platform, "web").await?;
    let waits = platform.get("other", "/");
    let ends = async {
        graceful_server::until_signalled(evicted).await?;
        let there = graceful_server::named(&platform, "graceful");
        assert!(there.is_empty(), "another was started before it was gone: {there:?}");
        graceful_server::allow_exit(evicted)
    };
    let (answer, ended) = tokio::join!(waits, ends);
    ended?;
    assert_eq!(answer?.status(), 200);
    platform.stop().await
}

#[tokio::test]
async fn shutdown_sends_every_instance_its_stop_signal_also_those_with_requests() -> anyhow::Result<()> {
    let platform = with_server(&[("SAMPAN_SHUTDOWN_GRACE_S", "6")]).await?;
    let flags = ["--memory", "128", "--timeout", "60", "--no-start-check", "--stop-grace", "2"];
    platform.deploy("busy", "graceful:v1", &flags).await?;
    let (idle, busy) = (server(&platform, "web").await?, server(&platform, "busy").await?);
    let (client, url) = (platform.http.clone(), platform.url("busy", "/hang"));
    let hangs = tokio::spawn(async move { client.get(url).send().await });
    wait::until("the request has come", || async {
        let running = json!({"FunctionName": "busy", "Limit": 1, "Order": "desc", "OrderBy": "start_time"});
        let log = platform.api.call("GetFunctionLogs", running).await?;
        Ok((log["Data"][0]["InvokeFinished"] == 0).then_some(()))
    })
    .await?;
    let (stopped, ends) = tokio::join!(platform.stop(), async {
        tokio::try_join!(signalled_and_exited(idle), signalled_and_exited(busy))
    });
    ends?;
    stopped?;
    hangs.await?.ok();
    Ok(())
}

#[tokio::test]
async fn a_killed_platform_leaves_no_stopping_instance() -> anyhow::Result<()> {
    let mut platform = with_server(&[]).await?;
    let pid = server(&platform, "web").await?;
    tools::run_ok(&mut platform.cli(&["delete", "web"])).await?;
    graceful_server::until_signalled(pid).await?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    graceful_server::until_gone(pid).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_instance_is_killed_after_a_request_timeout() -> anyhow::Result<()> {
    let platform = with_server(&[]).await?;
    let flags = ["--memory", "128", "--timeout", "1", "--no-start-check", "--stop-grace", "30"];
    platform.deploy("slow", "graceful:v1", &flags).await?;
    let slow = server(&platform, "slow").await?;
    assert_eq!(platform.get("slow", "/hang").await?.status(), 433);
    // After a stop signal the server would wait for the test.
    graceful_server::until_gone(slow).await?;
    let logs = tools::run_ok(&mut platform.cli(&["logs", "slow"])).await?;
    assert!(!logs.contains("stop signal"), "{logs}");
    platform.stop().await
}

#[tokio::test]
async fn a_process_without_a_signal_handler_is_killed_at_once_and_the_grace_is_configurable() -> anyhow::Result<()> {
    let platform = with_server(&[]).await?;
    let shown = tools::run_ok(&mut platform.cli(&["get", "web"])).await?;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["stop", "grace", "s", "30"])), "{shown}");
    for (grace, reason) in [("31", "0..=30"), ("5", "stop grace 30 s")] {
        let said = tools::run(&mut platform.cli(&["deploy", "web", "--stop-grace", grace])).await?;
        assert!(!said.ok && said.stderr.contains(reason), "{said:?}");
    }
    tools::run_ok(&mut platform.cli(&["deploy", "web", "--env", "IGNORE=1", "--stop-grace", "30"])).await?;
    let ignoring = server(&platform, "web").await?;
    tools::run_ok(&mut platform.cli(&["delete", "web"])).await?;
    // Long before the end of the grace period.
    let soon = std::time::Duration::from_secs(20);
    tokio::time::timeout(soon, graceful_server::until_gone(ignoring)).await??;
    platform.stop().await
}

#[tokio::test]
async fn the_optional_init_reaps_forwards_signals_and_keeps_exit_codes() -> anyhow::Result<()> {
    // The last instance waits for permission to exit, which the test never gives; the short grace
    // period ends it.
    let platform = with_server(&[("SAMPAN_SHUTDOWN_GRACE_S", "2")]).await?;
    let flags = ["--memory", "128", "--init", "--no-start-check", "--stop-grace", "30"];
    platform.deploy("init", "graceful:v1", &flags).await?;
    let shown = tools::run_ok(&mut platform.cli(&["get", "init"])).await?;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["init", "on"])), "{shown}");
    let said = tools::run(&mut platform.cli(&["deploy", "web", "--init"])).await?;
    assert!(!said.ok && said.stderr.contains("has no init"), "{said:?}");

    // Without `init` the platform has no process in the instance, and zombies are not reaped.
    platform.get("web", "/orphans").await?;
    wait::until("all orphans are zombies", || async {
        let without = platform.get("web", "/processes").await?.text().await?;
        anyhow::ensure!(without.contains("1 graceful ") && !without.contains("init"), "{without}");
        Ok((without.matches(" Z\n").count() == 5).then_some(()))
    })
    .await?;
    platform.get("init", "/orphans").await?;
    wait::until("all are reaped", || async {
        let with = platform.get("init", "/processes").await?.text().await?;
        anyhow::ensure!(with.contains("1 init S") && with.contains("2 graceful "), "{with}");
        Ok((!with.contains(" Z\n")).then_some(()))
    })
    .await?;

    let answer = platform.get("init", "/exit").await?;
    assert_eq!(answer.status(), 439);
    assert!(answer.text().await?.contains("exit code 7"));
    let missing = ["--command", "/missing", "--memory", "128", "--init", "--no-start-check"];
    platform.deploy("missing", "graceful:v1", &missing).await?;
    let answer = platform.get("missing", "/").await?;
    assert_eq!(answer.status(), 405);
    let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    let text = answer.text().await?;
    assert!(text.contains("code 127") && !text.contains("cannot execute"), "{text}");
    let log = platform.api.log_of("missing", &id).await?;
    let log = log["Log"].as_str().unwrap_or_default();
    assert!(log.contains("cannot execute /missing: there is no such file"), "{log}");

    let stopped = server(&platform, "init").await?;
    tools::run_ok(&mut platform.cli(&["delete", "init"])).await?;
    signalled_and_exited(stopped).await?;
    platform.stop().await
}
