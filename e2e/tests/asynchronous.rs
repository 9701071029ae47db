//! Asynchronous events: accepted events run across kills and restarts of the platform, in the order
//! of acceptance unless a delay or retry changes it.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools, wait};
use serde_json::{Value, json};

/// Accepts an event and returns its id.
async fn accept(platform: &Platform, event: &Value) -> anyhow::Result<String> {
    let body = json!({"FunctionName": "event", "InvocationType": "Event", "ClientContext": event.to_string()});
    let result = platform.api.call("Invoke", body).await?["Result"].clone();
    anyhow::ensure!(result["RetMsg"] == "", "an accepted event has no result yet: {result}");
    Ok(result["FunctionRequestId"].as_str().unwrap_or_default().to_owned())
}

async fn status(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?["Result"].clone())
}

async fn finished(platform: &Platform, id: &str) -> anyhow::Result<()> {
    let what = format!("event {id} is finished");
    wait::until(&what, || async {
        let status = status(platform, id).await?;
        anyhow::ensure!(status["Status"] != "FAILED", "{status}");
        Ok((status["Status"] == "FINISHED").then_some(()))
    })
    .await
}

async fn with_event_function() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    Ok(platform)
}

#[tokio::test]
async fn accepted_events_run_and_are_listed() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(accept(&platform, &json!({"number": number})).await?);
    }
    for id in &ids {
        finished(&platform, id).await?;
    }
    let listed = platform.api.call("ListAsyncEvents", json!({"FunctionName": "event", "Limit": 100})).await?;
    assert_eq!(listed["TotalCount"], 20, "{listed}");
    let log = platform.api.log_of("event", &ids[0]).await?;
    assert!(log["Log"].as_str().is_some_and(|text| text.contains("POST /event-invoke")), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn events_that_were_accepted_before_a_kill_run_after_the_restart() -> anyhow::Result<()> {
    let mut platform = with_event_function().await?;
    let slow = accept(&platform, &json!({"route": "sleep?2000"})).await?;
    let mut ids = vec![slow];
    for number in 0..50 {
        ids.push(accept(&platform, &json!({"number": number})).await?);
    }
    platform.kill().await?;
    let platform = platform.restart().await?;
    for id in &ids {
        finished(&platform, id).await?;
    }
    platform.stop().await
}

#[tokio::test]
async fn a_stop_with_waiting_events_loses_none() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let late = accept(&platform, &json!({"route": "exit?3"})).await?;
    let next = accept(&platform, &json!({"number": 1})).await?;
    finished(&platform, &next).await?;
    // A run that failed in the function is retried after a minute, which spans a restart here.
    wait::until("the first run has ended", || async {
        let log = platform.api.log_of("event", &late).await?;
        Ok(log["Log"].as_str().is_some_and(|text| text.contains("END RequestId")).then_some(()))
    })
    .await?;
    let platform = platform.kill_and_restart().await?;
    let waiting = status(&platform, &late).await?;
    assert_eq!((&waiting["Status"], &waiting["StatusCode"]), (&json!("RUNNING"), &json!(0)), "{waiting}");
    platform.stop().await
}

#[tokio::test]
async fn commands_accept_events_and_wait_for_their_end() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let accepted = tools::run_ok(&mut platform.cli(&["invoke", "event", "--async", "--data", "{}"])).await?;
    let id = accepted.trim();
    assert_eq!(id.len(), 36, "only the id is printed: {accepted}");
    let state = tools::run_ok(&mut platform.cli(&["events", "wait", id])).await?;
    assert_eq!(state.trim(), "FINISHED (200)");
    assert_eq!(tools::run_ok(&mut platform.cli(&["events", "get", id])).await?, state);
    let listed = platform.cli_json(&["events", "list", "event", "--state", "FINISHED"]).await?;
    assert_eq!((&listed["total"], &listed["events"][0]["InvokeRequestId"]), (&json!(1), &json!(id)));

    let failing = ["invoke", "event", "--async", "--data", r#"{"route": "exit?3"}"#];
    let failing = tools::run_ok(&mut platform.cli(&failing)).await?;
    let late = tools::run(&mut platform.cli(&["events", "wait", failing.trim(), "--timeout", "1"])).await?;
    assert!(!late.ok && late.stderr.contains("still waiting or running"), "{}", late.stderr);
    let unknown = ["events", "get", "00000000-0000-4000-8000-000000000000"];
    let unknown = tools::run(&mut platform.cli(&unknown)).await?;
    assert!(!unknown.ok && unknown.stderr.contains("there is no event"), "{}", unknown.stderr);
    platform.deploy("web", "hello:v1", &[]).await?;
    let web = ["invoke", "web", "--async", "-X", "PUT", "--path", "/a b?x=%20", "--data", "body"];
    let web = tools::run_ok(&mut platform.cli(&web)).await?;
    let state = tools::run_ok(&mut platform.cli(&["events", "wait", web.trim()])).await?;
    assert_eq!(state.trim(), "FINISHED (200)");
    let log = platform.api.log_of("web", web.trim()).await?;
    assert!(log["Log"].as_str().is_some_and(|log| log.contains("PUT /a%20b?x=%20")), "{log}");
    let refused = tools::run(&mut platform.cli(&["invoke", "web", "--async", "-H", "X-Delay-Seconds: soon"])).await?;
    assert!(!refused.ok && refused.stderr.contains("not accepted: X-Delay-Seconds"), "{}", refused.stderr);
    platform.stop().await
}

#[tokio::test]
async fn an_event_whose_run_a_stop_cuts_off_runs_again() -> anyhow::Result<()> {
    let mut platform = Platform::start_with(&[("SAMPAN_SHUTDOWN_GRACE_S", "1")]).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "60"]).await?;
    let slow = accept(&platform, &json!({"route": "sleep?5000"})).await?;
    wait::until("it runs", || async {
        let log = tools::run_ok(&mut platform.cli(&["logs", "event", "--request-id", &slow])).await?;
        Ok(log.contains("START RequestId").then_some(()))
    })
    .await?;
    let ended = platform.terminate().await?;
    anyhow::ensure!(ended.success(), "{ended}");
    let platform = platform.restart().await?;
    finished(&platform, &slow).await?;
    platform.stop().await
}

#[tokio::test]
async fn events_of_a_deleted_function_do_not_run_on_another_of_its_name() -> anyhow::Result<()> {
    let mut platform = with_event_function().await?;
    let id = accept(&platform, &json!({"route": "exit?3"})).await?;
    wait::until("its first run has ended", || async {
        let log = tools::run_ok(&mut platform.cli(&["logs", "event", "--request-id", &id])).await?;
        Ok(log.contains("END RequestId").then_some(()))
    })
    .await?;
    tools::run_ok(&mut platform.cli(&["delete", "event"])).await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    let listed = platform.cli_json(&["events", "list", "event"]).await?;
    assert_eq!(listed["total"], 0, "the new function has no events: {listed}");
    let own = accept(&platform, &json!({})).await?;
    finished(&platform, &own).await?;
    assert_eq!(platform.cli_json(&["events", "list", "event"]).await?["total"], 1);

    // The minute of back-off passes while the platform is down.
    platform.kill().await?;
    let file = rusqlite::Connection::open(platform.data_dir().join("events.db"))?;
    file.execute("UPDATE events SET due_ms = 1 WHERE request_id = ?1", [&id])?;
    drop(file);
    let platform = platform.restart().await?;
    let failed = wait::until("the former function's event is given up", || async {
        let status = status(&platform, &id).await?;
        Ok((status["Status"] == "FAILED").then_some(status))
    })
    .await?;
    let why = failed["ErrorMessage"].as_str().unwrap_or_default();
    assert!(failed["StatusCode"] == 435 && why.contains("was deleted before the event ran"), "{failed}");
    platform.stop().await
}

#[tokio::test]
async fn settings_with_which_nothing_would_run_are_refused_by_name() -> anyhow::Result<()> {
    let Err(refused) = Platform::start_with(&[("SAMPAN_EVENTS__RUNS_MAX", "0")]).await else {
        anyhow::bail!("a platform without runs of events starts");
    };
    let refused = format!("{refused:#}");
    anyhow::ensure!(refused.contains("events.runs_max = 0 is not allowed; use 1 to 1048576"), "{refused}");
    Ok(())
}
