//! Event functions: events in, results out, one at a time per instance; each failure has the
//! contract's status.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::Instant;

use e2e::Platform;
use serde_json::{Value, json};

async fn with_event(flags: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let mut all = vec!["--type", "event"];
    all.extend(flags);
    platform.deploy("event", "hello:v1", &all).await?;
    Ok(platform)
}

fn message(result: &Value) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(result["RetMsg"].as_str().unwrap_or_default())?)
}

#[tokio::test]
async fn an_event_returns_its_result_measurements_and_log() -> anyhow::Result<()> {
    let platform = with_event(&["--no-start-check"]).await?;
    let event = json!({"text": "grüße \u{1F600} \"quoted\"", "list": [1, 2.5, null, true]});
    let result = platform.api.invoke("event", &event).await?;
    assert_eq!(message(&result)?, json!({"hello": "world", "event": event}), "{result}");
    assert_eq!(result["InvokeResult"], 0);
    assert!(result["Duration"].as_f64().is_some_and(|ms| ms > 0.0), "{result}");
    assert!(result["BillDuration"].as_i64().is_some_and(|ms| ms >= 1), "{result}");
    assert!(result["MemUsage"].as_i64().is_some_and(|bytes| bytes > 10_000), "{result}");
    let log = result["Log"].as_str().unwrap_or_default();
    // The server prints its line after it listens, possibly after the platform has seen it listen.
    assert!(log.contains("hello listens on port 9000"), "{log}");
    let order = [
        "START RequestId",
        "Init Report",
        "POST /event-invoke",
        "Response RequestId",
        "END RequestId",
        "Report RequestId",
    ];
    let places: Vec<_> = order.iter().map(|part| log.rfind(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{log}");
    platform.stop().await
}

/// Sends an event that makes the invocation fail, and returns the decoded `RetMsg`.
async fn run_fails(platform: &Platform, event: &Value, status: u16) -> anyhow::Result<Value> {
    let result = platform.api.invoke("event", event).await?;
    assert_ne!(result["InvokeResult"], 0, "{event}: {result}");
    let error = message(&result)?;
    assert_eq!(error["statusCode"], status, "{event}: {error}");
    assert_eq!(error["requestId"], result["FunctionRequestId"], "{error}");
    assert!(result["ErrMsg"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
    Ok(error)
}

#[tokio::test]
async fn each_failure_has_the_contracts_status_and_the_next_event_works() -> anyhow::Result<()> {
    // A small function has a small share of a processor: filling its memory takes a second on a
    // busy machine.
    let platform = with_event(&["--timeout", "6"]).await?;
    let error = run_fails(&platform, &json!({"route": "sleep?10000"}), 433).await?;
    assert_eq!(error["errorMessage"], "Invoking task timed out after 6 seconds");
    for (event, status) in [
        (json!({"route": "exit?7"}), 439),
        (json!({"route": "alloc?400"}), 434),
        (json!({"route": "status?500"}), 430),
        (json!({"route": "big?7000000"}), 407),
    ] {
        run_fails(&platform, &event, status).await?;
        assert_eq!(platform.api.invoke("event", &json!({})).await?["InvokeResult"], 0, "after {event}");
    }
    let not_json = json!({"FunctionName": "event", "ClientContext": "{not json"});
    let (code, _) = platform.api.refused("Invoke", not_json).await?;
    assert_eq!(code, "InvalidParameterValue.Param");
    let (code, _) = platform.api.refused("Invoke", json!({"FunctionName": "event", "Qualifier": "none"})).await?;
    assert_eq!(code, "ResourceNotFound.Qualifier");
    platform.stop().await
}

#[tokio::test]
async fn large_events_and_answers_pass_up_to_the_limit() -> anyhow::Result<()> {
    let platform = with_event(&["--memory", "512", "--timeout", "20"]).await?;
    let event = json!({ "data": "y".repeat(5 * 1024 * 1024) });
    assert_eq!(message(&platform.api.invoke("event", &event).await?)?["event"], event);
    // With its quotes it is one byte too long.
    let over = json!({"FunctionName": "event", "ClientContext": json!("z".repeat(6 * 1024 * 1024 - 1)).to_string()});
    let (code, message) = platform.api.refused("Invoke", over).await?;
    assert_eq!(code, "InvalidParameter.RequestTooLarge", "{message}");
    platform.stop().await
}

#[tokio::test]
async fn one_instance_serves_one_event_at_a_time() -> anyhow::Result<()> {
    let platform = with_event(&["--timeout", "30"]).await?;
    let cgroup = platform.cgroup_name();
    let started = Instant::now();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let api = platform.api.clone();
            tokio::spawn(async move { api.invoke("event", &json!({"route": "sleep?1500"})).await })
        })
        .collect();
    let mut most = 0;
    while !calls.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(e2e::leftovers::processes(&cgroup).len());
        tokio::task::yield_now().await;
    }
    assert_eq!(most, 3, "three events at once need three instances");
    assert!(started.elapsed().as_millis() >= 1500);
    for call in calls {
        assert_eq!(call.await??["InvokeResult"], 0);
    }
    platform.stop().await
}

#[tokio::test]
async fn a_flood_of_output_does_not_block_and_its_loss_is_reported() -> anyhow::Result<()> {
    let platform = with_event(&["--timeout", "60"]).await?;
    let result = platform.api.invoke("event", &json!({"route": "print?300000"})).await?;
    assert_eq!(result["InvokeResult"], 0, "{result}");
    let id = result["FunctionRequestId"].as_str().unwrap_or_default();
    let record = platform.api.log_of("event", id).await?;
    let log = record["Log"].as_str().unwrap_or_default();
    assert!(log.contains("dropped"), "300,000 lines are over the limit, and the log says so");
    let result = platform.api.invoke("event", &json!({"route": "print?3"})).await?;
    let log = result["Log"].as_str().unwrap_or_default();
    assert!(log.contains("line 2 to stdout") && log.contains("line 2 to stderr"), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn an_event_function_answers_http_requests_as_events() -> anyhow::Result<()> {
    let platform = with_event(&[]).await?;
    let request = platform.http.post(platform.url("event", "/path?q=1")).header("X-Mine", "kept").body("body");
    let answer = request.send().await?;
    assert!(answer.status().is_success());
    assert_eq!(answer.headers()["content-type"], "application/json");
    let answer: Value = answer.json().await?;
    let event = &answer["event"];
    assert_eq!(
        (&event["httpMethod"], &event["path"], &event["body"]),
        (&json!("POST"), &json!("/path"), &json!("body"))
    );
    assert_eq!((&event["headers"]["x-mine"], &event["queryString"]["q"]), (&json!("kept"), &json!("1")), "{event}");
    platform.stop().await
}
