//! Asynchronous events through the API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{FROM_INSTANCE, Platform, now_s};

/// Accepts an event and returns its id.
async fn accept(platform: &Platform, event: Value) -> String {
    let request = json!({"FunctionName": "hello", "ClientContext": event.to_string(), "InvocationType": "Event"});
    let result = platform.ok("Invoke", request).await["Result"].clone();
    let id = result["FunctionRequestId"].as_str().unwrap().to_owned();
    let empty = json!({"Log": "", "RetMsg": "", "ErrMsg": "", "MemUsage": 0, "Duration": 0.0, "BillDuration": 0,
        "InvokeResult": 0, "FunctionRequestId": id});
    assert_eq!(result, empty);
    id
}

async fn status(platform: &Platform, id: &str) -> Value {
    platform.ok("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await["Result"].clone()
}

/// Polls until the status is no longer `RUNNING`.
async fn ended(platform: &Platform, id: &str) -> Value {
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let status = status(platform, id).await;
            if status["Status"] != "RUNNING" {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    ended.await.expect("the event ends")
}

#[tokio::test]
async fn an_event_is_answered_with_its_id_and_runs() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let id = accept(&platform, json!({"k": 1})).await;
    let done = ended(&platform, &id).await;
    assert_eq!(done, json!({"Status": "FINISHED", "StatusCode": 200, "InvokeRequestId": id, "Attempts": 1}));
    let request = json!({"FunctionName": "hello", "FunctionRequestId": id});
    let run = platform.ok("GetRequestStatus", request).await["Data"][0].clone();
    assert_eq!((&run["RetCode"], &run["RequestId"]), (&json!(0), &json!(id)));
    platform.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_in_the_function_goes_on_running_until_its_retries_are_used_up() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let id = accept(&platform, json!({"fail": "boom"})).await;
    let first_run = tokio::time::timeout(Duration::from_secs(20), async {
        let id = id.parse().unwrap();
        while platform.events.status(&id).await.unwrap().unwrap().status.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    first_run.await.expect("a first run ends");
    let mut waiting = status(&platform, &id).await;
    let retry = waiting["Retry"].take();
    assert_eq!((&retry["StatusCode"], &retry["ErrorMessage"]), (&json!(430), &json!("boom")), "{retry}");
    assert!(retry["NextRunMs"].as_i64().is_some_and(|at| at > jiff::Timestamp::now().as_millisecond()), "{retry}");
    let expected = json!({"Status": "RUNNING", "StatusCode": 0, "InvokeRequestId": id, "Attempts": 1, "Retry": null});
    assert_eq!(waiting, expected);
    platform.stop().await;
}

#[tokio::test]
async fn retries_and_age_of_events_are_a_functions_and_hold_from_acceptance_on() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let name = json!({"FunctionName": "hello"});
    let config = |retries: i64, ttl: i64| json!({"RetryConfig": [{"RetryNum": retries}], "MsgTTL": ttl});
    let get =
        || async { platform.ok("GetFunctionEventInvokeConfig", name.clone()).await["AsyncTriggerConfig"].clone() };
    let update = |config: Value| json!({"FunctionName": "hello", "AsyncTriggerConfig": config});
    assert_eq!(get().await, config(2, 21_600));
    let two_retries = accept(&platform, json!({"fail": "boom"})).await;
    platform.ok("UpdateFunctionEventInvokeConfig", update(config(0, 60))).await;
    platform.ok("UpdateFunctionEventInvokeConfig", update(json!({"MsgTTL": 600}))).await;
    assert_eq!(get().await, config(0, 600));
    let none = accept(&platform, json!({"fail": "boom"})).await;
    let failed = ended(&platform, &none).await;
    assert_eq!((&failed["Status"], &failed["StatusCode"]), (&json!("FAILED"), &json!(430)));
    assert_eq!(status(&platform, &two_retries).await["Status"], "RUNNING");

    let of = |qualifier: &str| json!({"FunctionName": "hello", "Qualifier": qualifier});
    platform.ok("GetFunctionEventInvokeConfig", of("$DEFAULT")).await;
    for (action, request, code) in [
        ("GetFunctionEventInvokeConfig", of("7"), "ResourceNotFound.Qualifier"),
        ("GetFunctionEventInvokeConfig", json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
        ("GetFunctionEventInvokeConfig", json!({}), "MissingParameter"),
        ("UpdateFunctionEventInvokeConfig", name.clone(), "MissingParameter"),
        ("UpdateFunctionEventInvokeConfig", update(config(3, 60)), "LimitExceeded.RetryNum"),
        ("UpdateFunctionEventInvokeConfig", update(config(0, 59)), "LimitExceeded.MsgTTL"),
        ("UpdateFunctionEventInvokeConfig", update(json!({})), "InvalidParameterValue.AsyncTriggerConfig"),
    ] {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    assert_eq!(get().await, config(0, 600), "what was refused changed nothing");
    platform.stop().await;
}

#[tokio::test]
async fn an_event_that_waits_or_runs_is_terminated() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 60})).await;
    platform.deploy(json!({"FunctionName": "other"})).await;
    let waits = accept(&platform, json!({"fail": "boom"})).await;
    let runs = accept(&platform, json!({"hang": true})).await;
    for (id, grace) in [(&waits, false), (&runs, true)] {
        let request = |function: &str| json!({"FunctionName": function, "InvokeRequestId": id, "GraceShutdown": grace});
        assert_eq!(platform.code("TerminateAsyncEvent", request("other")).await, "ResourceNotFound.AsyncEvent");
        platform.ok("TerminateAsyncEvent", request("hello")).await;
        // The waiting one may be terminated before its first run.
        let state = ended(&platform, id).await;
        assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("ABORTED"), &json!(499)), "{state}");
        assert_eq!(platform.code("TerminateAsyncEvent", request("hello")).await, "FailedOperation.AsyncEventStatus");
    }
    platform.stop().await;
}

#[tokio::test]
async fn events_of_a_function_are_listed_in_pages() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    platform.deploy(json!({"FunctionName": "other"})).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let id = accept(&platform, json!(n)).await;
        ended(&platform, &id).await;
        ids.push(id);
    }
    let listed = |request: Value| {
        let platform = &platform;
        async move {
            let answer = platform.ok("ListAsyncEvents", request).await;
            let shown = answer["EventList"].as_array().unwrap().iter().map(|event| event["InvokeRequestId"].clone());
            (answer["TotalCount"].clone(), shown.collect::<Vec<_>>())
        }
    };
    assert_eq!(listed(json!({"FunctionName": "other"})).await, (json!(0), vec![]));
    let newest = listed(json!({"FunctionName": "hello", "Limit": 1})).await;
    assert_eq!(newest, (json!(3), vec![json!(ids[2])]));
    let oldest = listed(json!({"FunctionName": "hello", "Order": "ASC", "Limit": 2, "Status": ["FINISHED"]})).await;
    assert_eq!(oldest, (json!(3), vec![json!(ids[0]), json!(ids[1])]));
    let one = listed(json!({"FunctionName": "hello", "InvokeRequestId": ids[1]})).await;
    assert_eq!(one, (json!(1), vec![json!(ids[1])]));
    let running = listed(json!({"FunctionName": "hello", "Status": ["RUNNING", "FAILED"]})).await;
    assert_eq!(running, (json!(0), vec![]));
    let event =
        platform.ok("ListAsyncEvents", json!({"FunctionName": "hello", "Limit": 1})).await["EventList"][0].clone();
    assert_eq!((&event["Qualifier"], &event["InvokeType"]), (&json!("$LATEST"), &json!("INVOKE")));
    assert_eq!(event["StartTime"].as_str().unwrap().len(), "2019-02-26 00:44:25.123000".len());
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_accepted_or_found_has_its_code() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let large = format!("\"{}\"", "x".repeat(128 * 1024));
    let call = |context: &str| json!({"FunctionName": "hello", "ClientContext": context, "InvocationType": "Event"});
    let table = [
        ("Invoke", call(&large), "InvalidParameter.RequestTooLarge"),
        ("Invoke", call("{"), "InvalidParameterValue.Param"),
        ("Invoke", json!({"FunctionName": "none", "InvocationType": "Event"}), "ResourceNotFound.Function"),
        ("GetAsyncEventStatus", json!({}), "MissingParameter"),
        ("GetAsyncEventStatus", json!({"InvokeRequestId": "x"}), "InvalidParameterValue"),
        (
            "GetAsyncEventStatus",
            json!({"InvokeRequestId": types::RequestId::random().to_string()}),
            "ResourceNotFound.AsyncEvent",
        ),
        ("TerminateAsyncEvent", json!({"FunctionName": "hello"}), "MissingParameter"),
        ("TerminateAsyncEvent", json!({"InvokeRequestId": types::RequestId::random().to_string()}), "MissingParameter"),
        (
            "TerminateAsyncEvent",
            json!({"FunctionName": "hello", "InvokeRequestId": types::RequestId::random().to_string()}),
            "ResourceNotFound.AsyncEvent",
        ),
        (
            "TerminateAsyncEvent",
            json!({"FunctionName": "hello", "InvokeRequestId": "x", "GraceShutdown": "perhaps"}),
            "InvalidParameter",
        ),
        ("ListAsyncEvents", json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Status": ["Done"]}), "InvalidParameterValue"),
        ("ListAsyncEvents", json!({}), "MissingParameter"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "InvokeType": ["PIGEON"]}), "InvalidParameterValue"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "InvokeRequestId": "x"}), "InvalidParameterValue"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Order": "up"}), "InvalidParameterValue.Order"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Offset": -1}), "InvalidParameterValue.Offset"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Qualifier": "a b"}), "InvalidParameterValue.Qualifier"),
        (
            "ListAsyncEvents",
            json!({"FunctionName": "hello", "StartTimeInterval": {"Start": "soon"}}),
            "InvalidParameterValue.DateTime",
        ),
        ("GetFunctionEventInvokeConfig", json!({}), "MissingParameter"),
        ("GetFunctionEventInvokeConfig", json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
        (
            "GetFunctionEventInvokeConfig",
            json!({"FunctionName": "hello", "Qualifier": "nope"}),
            "ResourceNotFound.Qualifier",
        ),
        ("UpdateFunctionEventInvokeConfig", json!({"FunctionName": "hello"}), "MissingParameter"),
        (
            "UpdateFunctionEventInvokeConfig",
            json!({"FunctionName": "hello", "AsyncTriggerConfig": {}}),
            "InvalidParameterValue.AsyncTriggerConfig",
        ),
        (
            "UpdateFunctionEventInvokeConfig",
            json!({"FunctionName": "hello", "AsyncTriggerConfig": {"MsgTTL": 59}}),
            "LimitExceeded.MsgTTL",
        ),
        (
            "UpdateFunctionEventInvokeConfig",
            json!({"FunctionName": "hello", "AsyncTriggerConfig": {"RetryConfig": [{"RetryNum": 3}]}}),
            "LimitExceeded.RetryNum",
        ),
        (
            "UpdateFunctionEventInvokeConfig",
            json!({"FunctionName": "none", "AsyncTriggerConfig": {"MsgTTL": 60}}),
            "ResourceNotFound.Function",
        ),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Limit": 101}), "InvalidParameterValue.Limit"),
        ("ListAsyncEvents", json!({"FunctionName": "hello", "Orderby": "Name"}), "InvalidParameterValue.OrderBy"),
    ];
    for (action, request, code) in table {
        let refused = platform.refused(action, request.clone()).await;
        assert!(refused.starts_with(&format!("{code}: ")), "{action} {request}: {refused}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn an_event_of_a_chain_that_is_too_long_is_refused() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let body = json!({"FunctionName": "hello", "ClientContext": "{}", "InvocationType": "Event"}).to_string();
    let invoke = async |depth: &str| {
        let mut request = platform.signed("Invoke", body.as_bytes(), now_s());
        request.headers_mut().insert("x-scf-chain-depth", depth.parse().unwrap());
        platform.send(request).await.body["Response"].clone()
    };
    let last = invoke("15").await;
    let id = last.pointer("/Result/FunctionRequestId").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(ended(&platform, id).await["Status"], "FINISHED", "{last}");
    let refused = invoke("16").await["Error"].clone();
    assert_eq!(refused["Code"], "FailedOperation.InvokeFunction");
    assert!(
        refused["Message"].as_str().unwrap_or_default().starts_with("16 events have led to this call"),
        "{refused}"
    );
    assert_eq!(invoke("deep").await["Error"]["Code"], "InvalidParameterValue");
    platform.stop().await;
}

/// Invokes `hello` in the name of the instances' address.
async fn invoke_inside(platform: &Platform, event: &Value, kind: &str) -> Value {
    let body = json!({"FunctionName": "hello", "ClientContext": event.to_string(), "InvocationType": kind});
    let mut request = platform.signed("Invoke", body.to_string().as_bytes(), now_s());
    request.headers_mut().insert(FROM_INSTANCE, "1".parse().unwrap());
    platform.send(request).await.body["Response"].clone()
}

/// Repeats a call in an instance's name until it is refused: the run that it is counted with may
/// not have begun.
async fn refused_inside(platform: &Platform, kind: &str) -> String {
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let error = invoke_inside(platform, &json!({}), kind).await["Error"].clone();
            if let (Some(code), Some(message)) = (error["Code"].as_str(), error["Message"].as_str()) {
                return format!("{code}: {message}");
            }
        }
    });
    refused.await.expect("a call is refused")
}

#[tokio::test]
async fn an_event_that_an_instance_causes_is_counted_without_a_header() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 60})).await;
    let event = json!({"FunctionName": "hello", "ClientContext": "{\"hang\":true}", "InvocationType": "Event"});
    let mut last = platform.signed("Invoke", event.to_string().as_bytes(), now_s());
    last.headers_mut().insert("x-scf-chain-depth", "15".parse().unwrap());
    assert!(platform.send(last).await.body["Response"].get("Error").is_none(), "the sixteenth runs");
    let refused = refused_inside(&platform, "Event").await;
    assert!(refused.starts_with("FailedOperation.InvokeFunction: 16 events have led to this call"), "{refused}");
    accept(&platform, json!({})).await;
    platform.stop().await;
}

#[tokio::test]
async fn calls_of_instances_by_the_api_have_a_depth() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 60})).await;
    let first = invoke_inside(&platform, &json!({}), "RequestResponse").await;
    assert!(first.get("Error").is_none(), "a chain may have one call: {first}");
    let refused = {
        let (hang, kind) = (json!({"hang": true}), "RequestResponse");
        let held = async {
            // Refused as long as one of the other calls is open.
            while invoke_inside(&platform, &hang, kind).await.get("Error").is_some() {}
        };
        tokio::select! {
            () = held => panic!("it hangs"),
            refused = refused_inside(&platform, kind) => refused,
        }
    };
    let start = "FailedOperation.InvokeFunction: the call is number 2 of a chain in which functions call each other";
    assert!(refused.starts_with(start), "{refused}");
    platform.ok("Invoke", json!({"FunctionName": "hello", "ClientContext": "{}"})).await;
    platform.stop().await;
}

#[tokio::test]
async fn arrays_are_of_job_images_and_bounded() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    for (array, words) in [
        (json!({"FunctionName": "hello"}), ["MissingParameter", "Count"]),
        (json!({"FunctionName": "hello", "Count": 0}), ["InvalidParameterValue", "between 1 and 1000"]),
        (json!({"FunctionName": "hello", "Count": 1001}), ["InvalidParameterValue", "between 1 and 1000"]),
        (
            json!({"FunctionName": "hello", "Count": 200, "ClientContext": format!("\"{}\"", "x".repeat(100_000))}),
            ["InvalidParameterValue", "at most 16777216"],
        ),
        (json!({"FunctionName": "hello", "Count": 2, "ClientContext": "{}"}), ["FunctionType", "is no job image"]),
    ] {
        let refused = platform.extension_refused("InvokeArray", array).await;
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
    }
    assert_eq!(platform.events.waiting(None), 0);
    platform.stop().await;
}
