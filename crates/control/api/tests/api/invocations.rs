//! Calls of functions, and their logs and states afterwards.

use api::Config;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, code, redacted};

async fn invoke(platform: &Platform, event: Value) -> Value {
    let request = json!({"FunctionName": "hello", "Event": event.to_string(), "LogType": "Tail"});
    platform.ok("InvokeFunction", request).await["Result"].clone()
}

#[tokio::test]
async fn a_call_answers_with_what_the_function_answered() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let request =
        json!({"FunctionName": "hello", "ClientContext": "{\"k\": [1, \"你\"]}", "InvocationType": "RequestResponse"});
    let answer = platform.ok("Invoke", request).await;
    assert_eq!(answer["RequestId"], answer["Result"]["FunctionRequestId"]);
    assert_eq!(answer["Result"]["Log"], "");
    assert_json_snapshot!("result", redacted(answer));
    let empty = platform.ok("InvokeFunction", json!({"FunctionName": "hello"})).await;
    assert_eq!(empty["Result"]["RetMsg"], json!({"event": {}, "version": "$LATEST"}).to_string());
    platform.stop().await;
}

#[tokio::test]
async fn the_end_of_the_log_comes_with_the_answer_when_asked_for() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let result = invoke(&platform, json!({})).await;
    let (log, id) = (result["Log"].as_str().unwrap(), result["FunctionRequestId"].as_str().unwrap());
    for part in [&format!("START RequestId:{id}"), "got 2 bytes", &format!("END RequestId:{id}"), "Report RequestId:"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn a_failed_run_is_a_result() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let result = invoke(&platform, json!({"fail": "boom"})).await;
    assert_eq!((&result["InvokeResult"], &result["ErrMsg"]), (&json!(-1), &json!("boom")));
    let ret_msg: Value = serde_json::from_str(result["RetMsg"].as_str().unwrap()).unwrap();
    assert_eq!(ret_msg["statusCode"], 430);
    assert_eq!(ret_msg["requestId"], result["FunctionRequestId"]);
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_called_is_an_error_of_the_call() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    platform.deploy(json!({"FunctionName": "site", "Type": "HTTP"})).await;
    platform.ok("CreateFunction", json!({"FunctionName": "new", "Code": code("localhost:5000/ns/app:v1")})).await;
    let call = |name: &str, field: &str, value: &str| json!({"FunctionName": name, field: value});
    let table = [
        (call("none", "LogType", "None"), "ResourceNotFound.Function"),
        (call("hello", "Namespace", "none"), "ResourceNotFound.Namespace"),
        (call("hello", "Qualifier", "7"), "ResourceNotFound.Qualifier"),
        (call("hello", "Qualifier", "prod"), "ResourceNotFound.Qualifier"),
        (call("hello", "Qualifier", "$X"), "InvalidParameterValue.Qualifier"),
        (call("new", "LogType", "None"), "FailedOperation.FunctionStatusError"),
        (call("site", "LogType", "None"), "InvalidParameterValue.FunctionType"),
        (call("1", "LogType", "None"), "InvalidParameter.FunctionName"),
        (call("hello", "ClientContext", "{"), "InvalidParameterValue.Param"),
        (call("hello", "RoutingKey", "[]"), "InvalidParameterValue.Param"),
        (call("hello", "LogType", "All"), "InvalidParameterValue"),
        (json!({}), "MissingParameter"),
    ];
    for (request, code) in table {
        assert_eq!(platform.code("Invoke", request.clone()).await, code, "{request}");
    }
    let refused = platform.refused("InvokeFunction", call("site", "Event", "{}")).await;
    assert!(refused.contains("under /fn/default/site/"), "{refused}");
    let large = json!({"FunctionName": "hello", "Event": format!("\"{}\"", "x".repeat(6 << 20))});
    assert_eq!(platform.code("InvokeFunction", large).await, "InvalidParameter.RequestTooLarge");
    platform.stop().await;
}

#[tokio::test]
async fn a_call_that_waits_too_long_says_that_the_run_goes_on() {
    let platform = Platform::start_with(Config { invoke_wait_s_max: 0, ..Config::default() }).await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 900})).await;
    let refused =
        platform.refused("Invoke", json!({"FunctionName": "hello", "ClientContext": "{\"hang\": true}"})).await;
    assert!(refused.starts_with("FailedOperation.InvokeFunction: ") && refused.contains("it goes on as "), "{refused}");
    platform.stop().await;
}

#[tokio::test]
async fn runs_are_listed_with_their_logs() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let good = invoke(&platform, json!({"n": 1})).await;
    let bad = invoke(&platform, json!({"fail": "boom"})).await;
    let by_time = json!({"FunctionName": "hello", "Order": "asc", "OrderBy": "start_time"});
    let all = platform.ok("GetFunctionLogs", by_time).await;
    assert_eq!(all["TotalCount"], 2);
    assert_eq!(all["Data"][0]["RequestId"], good["FunctionRequestId"]);
    assert!(all["Data"][0]["Log"].as_str().unwrap().contains("got 7 bytes"));
    let failed = platform.ok("GetFunctionLogs", json!({"FunctionName": "hello", "Filter": {"RetCode": "not0"}})).await;
    assert_eq!((&failed["TotalCount"], &failed["Data"][0]["RetCode"]), (&json!(1), &json!(430)));
    let one = json!({"FunctionName": "hello", "FunctionRequestId": good["FunctionRequestId"]});
    assert_json_snapshot!("logs_of_a_run", redacted(platform.ok("GetFunctionLogs", one).await));
    let status = |id: &Value| json!({"FunctionName": "hello", "FunctionRequestId": id});
    let answer = platform.ok("GetRequestStatus", status(&bad["FunctionRequestId"])).await;
    assert_eq!((&answer["TotalCount"], &answer["Data"][0]["RetCode"]), (&json!(1), &json!(-1)));
    assert_eq!(answer["Data"][0]["MemUsage"], 2.0);
    let unknown = platform.ok("GetRequestStatus", status(&json!("3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11"))).await;
    assert_eq!((&unknown["TotalCount"], &unknown["Data"]), (&json!(0), &json!([])));
    platform.stop().await;
}

#[tokio::test]
async fn wrong_questions_about_runs_have_their_codes() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let table = [
        ("GetFunctionLogs", json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
        ("GetFunctionLogs", json!({"Namespace": "none"}), "ResourceNotFound.Namespace"),
        ("GetFunctionLogs", json!({"Offset": 9_999, "Limit": 2}), "LimitExceeded.Offset"),
        ("GetFunctionLogs", json!({"StartTime": "2024-01-01"}), "InvalidParameterValue.DateTime"),
        ("GetFunctionLogs", json!({"Filter": {"RetCode": "bad"}}), "InvalidParameterValue.RetCode"),
        ("GetRequestStatus", json!({"FunctionName": "hello"}), "MissingParameter"),
        (
            "GetRequestStatus",
            json!({"FunctionName": "hello", "FunctionRequestId": "1"}),
            "InvalidParameterValue.FunctionRequestId",
        ),
    ];
    for (action, request, code) in table {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    assert_eq!(platform.ok("GetFunctionLogs", json!({})).await["TotalCount"], 0);
    platform.stop().await;
}
