//! Ways in which asynchronous events end after their acceptance.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, graceful_server, leftovers, tools, wait};
use serde_json::json;

/// Submits an event, and returns its id once it runs.
async fn running(platform: &Platform, function: &str, event: &str) -> anyhow::Result<String> {
    let id = tools::run_ok(&mut platform.cli(&["invoke", function, "--async", "--data", event])).await?;
    let id = id.trim().to_owned();
    until_logged(platform, function, &id, "START RequestId").await?;
    Ok(id)
}

async fn log(platform: &Platform, function: &str, id: &str) -> anyhow::Result<String> {
    tools::run_ok(&mut platform.cli(&["logs", function, "--request-id", id])).await
}

async fn until_logged(platform: &Platform, function: &str, id: &str, text: &str) -> anyhow::Result<()> {
    wait::until(&format!("{text} is in the log"), || async {
        Ok(log(platform, function, id).await?.contains(text).then_some(()))
    })
    .await
}

async fn state(platform: &Platform, id: &str) -> anyhow::Result<String> {
    Ok(tools::run_ok(&mut platform.cli(&["events", "get", id])).await?.trim().to_owned())
}

async fn until_aborted(platform: &Platform, id: &str) -> anyhow::Result<()> {
    wait::until("the event is aborted", || async {
        let state = state(platform, id).await?;
        anyhow::ensure!(state == "RUNNING" || state == "ABORTED (499)", "{state}");
        Ok((state != "RUNNING").then_some(()))
    })
    .await
}

/// A platform with the server that reports signals as event function `event`; the server never
/// answers.
async fn with_signal_server() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    graceful_server::push(&platform).await?;
    let flags = ["--type", "event", "--timeout", "60", "--no-start-check", "--stop-grace", "30"];
    platform.deploy("event", "graceful:v1", &flags).await?;
    Ok(platform)
}

async fn server(platform: &Platform) -> anyhow::Result<u32> {
    wait::until("its server is there", || async { Ok(graceful_server::named(platform, "graceful").first().copied()) })
        .await
}

#[tokio::test]
async fn a_terminated_event_is_aborted_when_its_processes_have_ended() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "60"]).await?;
    let id = running(&platform, "event", r#"{"route": "sleep?60000"}"#).await?;
    until_logged(&platform, "event", &id, "POST /event-invoke").await?;
    tools::run_ok(&mut platform.cli(&["events", "terminate", &id])).await?;
    until_aborted(&platform, &id).await?;
    let left = leftovers::processes(&platform.cgroup_name());
    assert!(left.is_empty(), "it is aborted and processes go on: {left:?}");
    let log = log(&platform, "event", &id).await?;
    assert!(log.contains(r#""statusCode":499"#) && log.contains("END RequestId"), "{log}");
    let waited = tools::run(&mut platform.cli(&["events", "wait", &id])).await?;
    assert!(!waited.ok && waited.stdout.trim() == "ABORTED (499)", "{}", waited.stdout);
    let again = tools::run(&mut platform.cli(&["events", "terminate", &id])).await?;
    assert!(!again.ok && again.stderr.contains("has ended already"), "{}", again.stderr);

    let waiting = r#"{"route": "exit?3"}"#;
    let waiting = running(&platform, "event", waiting).await?;
    until_logged(&platform, "event", &waiting, "END RequestId").await?;
    wait::until("it waits for another run", || async {
        let said = tools::run_ok(&mut platform.cli(&["events", "terminate", &waiting])).await?;
        Ok((said.trim() == "ABORTED (499)").then_some(()))
    })
    .await?;
    platform.stop().await
}

#[tokio::test]
async fn a_graceful_end_sends_the_stop_signal_and_is_final_when_the_process_is_gone() -> anyhow::Result<()> {
    let platform = with_signal_server().await?;
    let id = running(&platform, "event", "{}").await?;
    let pid = server(&platform).await?;
    let said = tools::run_ok(&mut platform.cli(&["events", "terminate", "--graceful", &id])).await?;
    assert_eq!(said.trim(), "RUNNING");
    graceful_server::until_signalled(pid).await?;
    assert_eq!(state(&platform, &id).await?, "RUNNING", "its process goes on");
    graceful_server::allow_exit(pid)?;
    until_aborted(&platform, &id).await?;
    let log = log(&platform, "event", &id).await?;
    assert!(log.contains("stop signal 2"), "what it printed at the end is there: {log}");
    platform.stop().await
}

#[tokio::test]
async fn a_termination_outlives_a_kill_of_the_platform() -> anyhow::Result<()> {
    let mut platform = with_signal_server().await?;
    let id = running(&platform, "event", "{}").await?;
    let pid = server(&platform).await?;
    tools::run_ok(&mut platform.cli(&["events", "terminate", "--graceful", &id])).await?;
    graceful_server::until_signalled(pid).await?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    assert_eq!(state(&platform, &id).await?, "ABORTED (499)");
    platform.stop().await
}

#[tokio::test]
async fn retries_and_age_of_events_are_set_by_a_command() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    let before = platform.cli_json(&["events", "config", "event"]).await?;
    assert_eq!((&before["retries"], &before["max_age_s"]), (&2.into(), &21_600.into()));
    let said = tools::run_ok(&mut platform.cli(&["events", "config", "event", "--retries", "0"])).await?;
    assert_eq!(said.trim(), "retries 0, maximum age 21600 s");
    let platform = platform.kill_and_restart().await?;
    let kept = platform.cli_json(&["events", "config", "event", "--max-age", "60"]).await?;
    assert_eq!((&kept["retries"], &kept["max_age_s"]), (&0.into(), &60.into()));
    let fails = running(&platform, "event", r#"{"route": "exit?3"}"#).await?;
    let waited = tools::run(&mut platform.cli(&["events", "wait", &fails])).await?;
    assert!(waited.stdout.starts_with("FAILED (439)"), "no retry: {}{}", waited.stdout, waited.stderr);
    // The state may be visible before the warning is written.
    let platform_log = wait::until("the platform logs it", || async {
        let log = platform.platform_log();
        Ok(log.contains("an event became a dead letter").then_some(log))
    })
    .await?;
    let warnings: Vec<_> = platform_log.lines().filter(|line| line.contains("an event became a dead letter")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["WARN", fails.as_str(), "default/event", "retries_exhausted"] {
        assert!(warnings[0].contains(part), "{part} is not in {}", warnings[0]);
    }
    let wrong = tools::run(&mut platform.cli(&["events", "config", "event", "--retries", "3"])).await?;
    assert!(!wrong.ok && wrong.stderr.contains("use 0 to 2"), "{}", wrong.stderr);
    platform.stop().await
}

/// Standard output, exit code and standard error of a command.
async fn said(platform: &Platform, args: &[&str]) -> anyhow::Result<(String, Option<i32>, String)> {
    let output = tools::output(&mut platform.cli(args)).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(output.stdout), output.status.code(), text(output.stderr)))
}

#[tokio::test]
async fn the_result_of_an_event_is_written_as_it_was_answered() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_EVENTS__RESULT_BYTES_MAX", "100")]).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    tools::run_ok(&mut platform.cli(&["events", "config", "event", "--retries", "0"])).await?;
    let run = |event: &'static str| {
        let platform = &platform;
        async move {
            let id = tools::run_ok(&mut platform.cli(&["invoke", "event", "--async", "--data", event])).await?;
            tools::run(&mut platform.cli(&["events", "wait", id.trim()])).await?;
            anyhow::Ok(id.trim().to_owned())
        }
    };
    let whole = run(r#"{"number":  7}"#).await?;
    let long = run(r#"{"route": "big?1000"}"#).await?;
    let failed = run(r#"{"route": "exit?3"}"#).await?;
    let platform = platform.kill_and_restart().await?;
    let (answer, code, _) = said(&platform, &["events", "get", &whole, "--result"]).await?;
    assert_eq!((answer.as_str(), code), (r#"{"hello":"world","event":{"number":  7}}"#, Some(0)));
    let (again, code, _) = said(&platform, &["invoke", "--result", &whole]).await?;
    assert_eq!((again.trim(), code), (answer.as_str(), Some(0)));
    let (cut, code, why) = said(&platform, &["events", "get", &long, "--result"]).await?;
    assert_eq!((cut.len(), code), (100, Some(1)), "{why}");
    assert!(why.contains("the result has 1002 bytes, of which 100 are kept"), "{why}");
    let (json, code, why) = said(&platform, &["events", "get", &failed, "--result"]).await?;
    assert!(code == Some(4) && json.contains(r#""statusCode":439"#) && why.contains("exit code 3"), "{json} {why}");
    let unknown = "00000000-0000-4000-8000-000000000000";
    for args in
        [&["events", "get", unknown, "--result"][..], &["invoke", "--result", unknown], &["events", "get", unknown]]
    {
        let (_, code, why) = said(&platform, args).await?;
        assert_eq!(code, Some(3), "{args:?}: {why}");
    }
    let (_, code, why) = said(&platform, &["events", "config", "event", "--max-age", "59"]).await?;
    assert!(code == Some(2) && why.contains("LimitExceeded.MsgTTL"), "{code:?} {why}");
    platform.stop().await
}

#[tokio::test]
async fn a_stop_says_what_it_waits_for_and_answers_meanwhile() -> anyhow::Result<()> {
    let mut platform = Platform::start_with(&[("SAMPAN_SHUTDOWN_GRACE_S", "60")]).await?;
    graceful_server::push(&platform).await?;
    let flags = ["--type", "event", "--timeout", "60", "--no-start-check", "--stop-grace", "0"];
    platform.deploy("event", "graceful:v1", &flags).await?;
    let id = running(&platform, "event", "{}").await?;
    let pid = server(&platform).await?;
    platform.begin_stop()?;
    let announced = format!("waiting for runs of events to end events=1 requests=\"{id}\"");
    wait::until("it says what it waits for", || async {
        Ok(platform.platform_log().contains(&announced).then_some(()))
    })
    .await?;
    assert_eq!(state(&platform, &id).await?, "RUNNING", "the control address answers");
    let ready = platform.http.get(format!("{}/readyz", platform.control)).send().await?;
    assert_eq!(ready.status().as_u16(), 503, "it takes no new work");
    graceful_server::answer(pid)?;
    assert!(platform.ended().await?.success());
    let platform = platform.restart().await?;
    assert_eq!(state(&platform, &id).await?, "FINISHED (200)");
    let log = log(&platform, "event", &id).await?;
    assert_eq!(log.matches("START RequestId").count(), 1, "it ran once: {log}");
    platform.stop().await
}

#[tokio::test]
async fn waiting_for_quota_is_no_try_and_leaves_nothing_in_the_log() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let flags = ["--type", "event", "--timeout", "30", "--no-start-check"];
    platform.deploy("event", "hello:v1", &flags).await?;
    let stopped = json!({"FunctionName": "event", "ReservedConcurrencyMem": 0});
    platform.api.call("PutReservedConcurrencyConfig", stopped).await?;
    let id = tools::run_ok(&mut platform.cli(&["invoke", "event", "--async", "--data", "{}"])).await?;
    wait::until("an event found no room", || async {
        let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
        Ok(metrics.contains(r#"sampan_events_runs_total{status="432"} "#).then_some(()))
    })
    .await?;
    // Between two attempts.
    wait::until("it waits for the next attempt", || async {
        let waits = state(&platform, id.trim()).await?;
        Ok((waits.starts_with("RUNNING, next attempt at") && waits.contains("(432: ")).then_some(()))
    })
    .await?;
    let logs = platform.api.call("GetFunctionLogs", json!({"FunctionName": "event"})).await?;
    assert_eq!(logs["TotalCount"], 0, "{logs}");
    let ended = tools::run_ok(&mut platform.cli(&["events", "terminate", id.trim()])).await?;
    assert_eq!(ended.trim(), "ABORTED (499)");
    platform.stop().await
}

#[tokio::test]
async fn the_python_sdk_ends_events() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let registry = platform.registry();
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/event_lifecycle.py"));
    sdk.args([registry, &platform.api.secret_id, &platform.api.secret_key, &format!("{registry}/hello:v1")]);
    assert_eq!(tools::run_ok(&mut sdk).await?.trim(), "ok");
    platform.stop().await
}
