//! Triggers: timers create events for their function, as managed by users.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use e2e::{Platform, leftovers, tools, wait};
use serde_json::{Value, json};

async fn with_event_function() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    Ok(platform)
}

/// The ended events of timers, newest first.
async fn ended(platform: &Platform) -> anyhow::Result<Vec<Value>> {
    let body = json!({"FunctionName": "event", "InvokeType": ["TRIGGER_TIMER"], "Status": ["FINISHED"], "Limit": 100});
    let listed = platform.api.call("ListAsyncEvents", body).await?;
    Ok(listed["EventList"].as_array().cloned().unwrap_or_default())
}

async fn until_ended(platform: &Platform, at_least: usize) -> anyhow::Result<Vec<Value>> {
    let what = format!("{at_least} events of timers have ended");
    wait::until(&what, || async {
        let events = ended(platform).await?;
        Ok((events.len() >= at_least).then_some(events))
    })
    .await
}

/// The payload that a run received; the function echoes it.
async fn event_of(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    // Not read from the log, which loses the last milliseconds before a kill.
    let answer = tools::run_ok(&mut platform.cli(&["events", "get", id, "--result"])).await?;
    Ok(serde_json::from_str::<Value>(&answer)?["event"].clone())
}

#[tokio::test]
async fn each_second_is_one_event_also_over_a_kill() -> anyhow::Result<()> {
    let mut platform = with_event_function().await?;
    let create = ["trigger", "create", "event", "tick", "--cron", "* * * * * * *", "--argument", "hi"];
    tools::run_ok(&mut platform.cli(&create)).await?;
    until_ended(&platform, 3).await?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    let before = ended(&platform).await?.len();
    until_ended(&platform, before + 3).await?;
    tools::run_ok(&mut platform.cli(&["trigger", "pause", "event", "tick"])).await?;
    let mut times = BTreeSet::new();
    let events = ended(&platform).await?;
    for event in &events {
        let id = event["InvokeRequestId"].as_str().unwrap_or_default();
        let event = event_of(&platform, id).await?;
        assert_eq!(
            (&event["Type"], &event["TriggerName"], &event["Message"]),
            (&json!("Timer"), &json!("tick"), &json!("hi"))
        );
        assert!(times.insert(event["Time"].to_string()), "{} came twice", event["Time"]);
    }
    platform.stop().await
}

#[tokio::test]
async fn commands_manage_triggers() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let cli = async |args: &[&str]| tools::run_ok(&mut platform.cli(&[&["trigger"], args].concat())).await;
    let create =
        ["create", "event", "noon", "--cron", "0 12 * * *", "--zone", "+00:00", "--max-age", "600", "--paused"];
    let made = cli(&create).await?;
    assert!(made.contains("noon") && made.contains("timer") && made.contains("paused"), "{made}");
    let next = platform.cli_json(&["trigger", "next", "event", "noon", "--count", "2"]).await?;
    let at = |n: usize| {
        next[n].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_second)
    };
    let first = at(0).unwrap_or_default();
    assert!(first % 86_400 == 43_200 && at(1) == Some(first + 86_400), "{next}");
    cli(&["update", "event", "noon", "--cron", "30 12 * * *", "--description", "lunch"]).await?;
    let listed = platform.cli_json(&["trigger", "list", "event"]).await?;
    assert_eq!(listed[0]["TriggerDesc"], r#"{"cron":"30 12 * * *","max_age_s":600,"zone":"+00:00"}"#);
    assert_eq!((&listed[0]["Description"], &listed[0]["Enable"]), (&json!("lunch"), &json!(0)));
    let id = cli(&["test", "event", "noon"]).await?;
    tools::run_ok(&mut platform.cli(&["events", "wait", id.trim()])).await?;
    assert_eq!(event_of(&platform, id.trim()).await?["Test"], true);
    for (command, enable) in [("resume", 1), ("resume", 1), ("pause", 0)] {
        cli(&[command, "event", "noon"]).await?;
        assert_eq!(platform.cli_json(&["trigger", "list", "event"]).await?[0]["Enable"], enable);
    }
    let never = tools::run(&mut platform.cli(&["trigger", "create", "event", "x", "--cron", "0 0 30 2 *"])).await?;
    assert!(!never.ok && never.stderr.contains("never comes"), "{}", never.stderr);
    cli(&["delete", "event", "noon"]).await?;
    let gone = tools::run(&mut platform.cli(&["trigger", "test", "event", "noon"])).await?;
    assert!(!gone.ok && gone.stderr.contains("has no trigger noon"), "{}", gone.stderr);
    cli(&["create", "event", "again", "--cron", "0 12 * * *"]).await?;
    tools::run_ok(&mut platform.cli(&["delete", "event"])).await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    assert_eq!(platform.cli_json(&["trigger", "list", "event"]).await?, json!([]));
    platform.stop().await
}

#[tokio::test]
async fn the_python_sdk_manages_triggers() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/triggers.py"));
    sdk.args([platform.registry(), &platform.api.secret_id, &platform.api.secret_key, "event"]);
    assert_eq!(tools::run_ok(&mut sdk).await?.trim(), "ok");
    platform.stop().await
}

#[tokio::test]
async fn tccli_manages_triggers() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let tccli = async |action: &str, args: &[&str]| -> anyhow::Result<Value> {
        let mut command = tools::command(&tools::python().with_file_name("tccli").display().to_string());
        command.args(["scf", action, "--FunctionName", "event"]).args(args).args(["--endpoint", &platform.control]);
        command.env("TENCENTCLOUD_SECRET_ID", &platform.api.secret_id);
        command.env("TENCENTCLOUD_SECRET_KEY", &platform.api.secret_key);
        command.env("TENCENTCLOUD_REGION", "local").env("HOME", platform.work_dir());
        Ok(serde_json::from_str(&tools::run_ok(&mut command).await?)?)
    };
    let name = ["--TriggerName", "tick", "--Type", "timer"];
    let made = tccli("CreateTrigger", &[&name[..], &["--TriggerDesc", "0 0 9 * * MON-FRI *"]].concat()).await?;
    assert_eq!(made["TriggerInfo"]["TriggerDesc"], r#"{"cron":"0 0 9 * * MON-FRI *"}"#, "{made}");
    tccli("UpdateTriggerStatus", &[&name[..], &["--Enable", "CLOSE"]].concat()).await?;
    let listed = tccli("ListTriggers", &[]).await?;
    assert_eq!((&listed["TotalCount"], &listed["Triggers"][0]["Enable"]), (&json!(1), &json!(0)), "{listed}");
    tccli("DeleteTrigger", &name).await?;
    assert_eq!(tccli("ListTriggers", &[]).await?["TotalCount"], 0);
    platform.stop().await
}

/// Sends a CloudEvent whose run sleeps, and returns its request id.
async fn send(platform: &Platform, trigger: &str, id: usize, sleep_ms: u64) -> anyhow::Result<String> {
    let request = platform.http.post(format!("{}/hooks/default/event/{trigger}", platform.gateway));
    let id = id.to_string();
    let headers = [("ce-specversion", "1.0"), ("ce-source", "/shop"), ("ce-type", "paid"), ("ce-id", &id)];
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let body = json!({"route": format!("sleep?{sleep_ms}")}).to_string();
    let answer = request.header("content-type", "application/json").body(body).send().await?;
    ensure!(answer.status() == 202, "{}", answer.text().await?);
    let said = answer.json::<Value>().await?;
    Ok(said["requestIds"][0].as_str().context("it has an id")?.to_owned())
}

async fn state(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?["Result"].clone())
}

#[tokio::test]
async fn events_of_a_trigger_run_as_many_at_a_time_as_it_says() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let narrow = ["trigger", "create", "event", "narrow", "--type", "cloudevents", "--desc", r#"{"Scheme":"none"}"#];
    tools::run_ok(&mut platform.cli(&[&narrow[..], &["--concurrency", "1"]].concat())).await?;
    let instances = || leftovers::processes(&platform.cgroup_name()).len();
    let mut ids = Vec::new();
    for id in 0..4 {
        ids.push(send(&platform, "narrow", id, 500).await?);
    }
    let mut most = 0;
    wait::until("all have ended", || {
        most = most.max(instances());
        async {
            for id in &ids {
                if state(&platform, id).await?["Status"] != "FINISHED" {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        }
    })
    .await?;
    // An instance of the function runs one event at a time.
    ensure!(most == 1, "{most} instances ran");
    tools::run_ok(&mut platform.cli(&["trigger", "update", "event", "narrow", "--concurrency", "3"])).await?;
    for id in 4..8 {
        send(&platform, "narrow", id, 4000).await?;
    }
    wait::until("three run", || async { Ok((instances() == 3).then_some(())) }).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_event_that_waits_longer_than_its_trigger_lets_it_is_a_dead_letter() -> anyhow::Result<()> {
    let platform = with_event_function().await?;
    let create = ["trigger", "create", "event", "fresh", "--type", "cloudevents", "--desc", r#"{"Scheme":"none"}"#];
    tools::run_ok(&mut platform.cli(&[&create[..], &["--concurrency", "1", "--max-age", "5"]].concat())).await?;
    // Ends long after the other one may have waited, also where that one comes late.
    let first = send(&platform, "fresh", 0, 20_000).await?;
    wait::until("the first runs", || async {
        Ok((state(&platform, &first).await?["Status"] == "RUNNING").then_some(()))
    })
    .await?;
    let late = send(&platform, "fresh", 1, 0).await?;
    let ended = wait::until("the late one has ended", || async {
        let state = state(&platform, &late).await?;
        Ok((state["Status"] != "RUNNING").then_some(state))
    })
    .await?;
    ensure!(ended["Status"] == "FAILED", "{ended}");
    let letter = platform.cli_json(&["events", "dead-letter", &late]).await?.to_string();
    ensure!(letter.contains("expired"), "{letter}");
    let first = wait::until("the first has ended", || async {
        let state = state(&platform, &first).await?;
        Ok((state["Status"] != "RUNNING").then_some(state))
    })
    .await?;
    ensure!(first["Status"] == "FINISHED", "{first}");
    platform.stop().await
}
