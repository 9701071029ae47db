//! Events that kill their instance at each attempt, and events interrupted by each end of the
//! platform: their attempts are bounded across restarts, and other functions' events do not wait
//! for them.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools, wait};
use serde_json::{Value, json};

async fn accept(platform: &Platform, function: &str, event: &Value) -> anyhow::Result<String> {
    let body = json!({"FunctionName": function, "InvocationType": "Event", "ClientContext": event.to_string()});
    let answer = platform.api.call("Invoke", body).await?;
    Ok(answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned())
}

async fn state(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?["Result"].clone())
}

async fn until_status(platform: &Platform, id: &str, status: &str) -> anyhow::Result<Value> {
    wait::until(&format!("event {id} is {status}"), || async {
        let state = state(platform, id).await?;
        Ok((state["Status"] == status).then_some(state))
    })
    .await
}

/// A numeric column of a waiting or running event, read from the queue's database.
fn number(platform: &Platform, id: &str, column: &str) -> anyhow::Result<Option<i64>> {
    let file = rusqlite::Connection::open(platform.data_dir().join("events.db"))?;
    let mut statement = file.prepare(&format!("SELECT {column} FROM events WHERE request_id = ?1"))?;
    let mut rows = statement.query([id])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Waits until this many runs of an event have failed and the event waits for the next one.
async fn until_failed(platform: &Platform, id: &str, failures: i64) -> anyhow::Result<()> {
    wait::until(&format!("{failures} runs of {id} have failed"), || async {
        Ok((number(platform, id, "function_failures")? == Some(failures)).then_some(()))
    })
    .await
}

/// Kills the platform, lets the back-off before the next attempt pass, and restarts the platform.
async fn killed_and_restarted(mut platform: Platform, waiting: &str) -> anyhow::Result<Platform> {
    platform.kill().await?;
    let file = rusqlite::Connection::open(platform.data_dir().join("events.db"))?;
    file.execute("UPDATE events SET due_ms = 1 WHERE request_id = ?1", [waiting])?;
    drop(file);
    platform.restart().await
}

async fn letter(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.cli_json(&["events", "dead-letter", id]).await?["dead_letter"].clone())
}

#[tokio::test]
async fn an_event_that_kills_its_instance_is_given_up_and_holds_up_nobody() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_EVENTS__RECOVERIES_MAX", "1")]).await?;
    platform.push_hello().await?;
    for function in ["poison", "long", "other"] {
        platform.deploy(function, "hello:v1", &["--type", "event", "--timeout", "120"]).await?;
    }
    let poison = accept(&platform, "poison", &json!({"route": "exit?3"})).await?;
    let long = accept(&platform, "long", &json!({"route": "sleep?100000"})).await?;
    until_failed(&platform, &poison, 1).await?;
    let waits = state(&platform, &poison).await?;
    assert_eq!((&waits["Status"], &waits["Retry"]["StatusCode"]), (&json!("RUNNING"), &json!(439)), "{waits}");
    let shown = tools::run_ok(&mut platform.cli(&["events", "get", &poison])).await?;
    assert!(shown.contains("next attempt at") && shown.contains("exit code 3"), "{shown}");
    let other = accept(&platform, "other", &json!({"number": 1})).await?;
    until_status(&platform, &other, "FINISHED").await?;

    // The second attempt of the poison event, and the second run of the interrupted one.
    let platform = killed_and_restarted(platform, &poison).await?;
    let said = platform.platform_log();
    assert!(said.contains("events were running when the platform ended"), "{said}");
    until_failed(&platform, &poison, 2).await?;
    wait::until("the long run has begun again", || async {
        Ok((number(&platform, &long, "attempt")? == Some(2)).then_some(()))
    })
    .await?;

    // The third and last attempt of the poison event; the long event exceeds its limit of
    // recoveries.
    let platform = killed_and_restarted(platform, &poison).await?;
    let other = accept(&platform, "other", &json!({"number": 2})).await?;
    until_status(&platform, &other, "FINISHED").await?;
    let died = until_status(&platform, &poison, "FAILED").await?;
    assert_eq!(died["StatusCode"], 439, "{died}");
    assert!(died["ErrorMessage"].as_str().is_some_and(|why| why.contains("exit code 3")), "{died}");
    let given_up = until_status(&platform, &long, "FAILED").await?;
    assert_eq!((&died["Attempts"], &given_up["Attempts"]), (&json!(3), &json!(2)), "{died} {given_up}");

    let (died, given_up) = (letter(&platform, &poison).await?, letter(&platform, &long).await?);
    assert_eq!((&died["reason"], &died["attempts"]), (&json!("retries_exhausted"), &json!(3)), "{died}");
    let reason = json!("platform_ended_during_each_run");
    assert_eq!((&given_up["reason"], &given_up["attempts"]), (&reason, &json!(2)), "{given_up}");
    let said = platform.platform_log();
    for part in ["run_again=1", "dead_letters=1"] {
        assert!(said.contains(part), "{part} in {said}");
    }

    // A dead letter does not run again after restarts.
    let platform = killed_and_restarted(platform, &poison).await?;
    let other = accept(&platform, "other", &json!({"number": 3})).await?;
    until_status(&platform, &other, "FINISHED").await?;
    let log = tools::run_ok(&mut platform.cli(&["logs", "poison", "--limit", "100"])).await?;
    // A kill loses the last moments of a log: lines of the second attempt may be missing.
    let tries = log.matches("START RequestId").count();
    assert!(tries <= 3 && log.contains("RetryNum: 2"), "tries of the one that kills: {log}");
    assert_eq!(letter(&platform, &poison).await?["attempts"], 3);
    platform.stop().await
}
