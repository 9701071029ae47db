//! Triggers: create, list, update, test, delete.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Platform, now_s};

fn timer(name: &str, cron: &str) -> Value {
    json!({"FunctionName": "hello", "TriggerName": name, "Type": "timer", "TriggerDesc": cron})
}

fn with(mut request: Value, fields: Value) -> Value {
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

async fn listed(platform: &Platform, fields: Value) -> Vec<Value> {
    let answer = platform.ok("ListTriggers", with(json!({"FunctionName": "hello"}), fields)).await;
    let triggers = answer["Triggers"].as_array().unwrap().clone();
    assert!(answer["TotalCount"].as_u64().unwrap() >= triggers.len() as u64);
    triggers
}

async fn hello() -> Platform {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    platform
}

#[tokio::test]
async fn a_timer_is_made_shown_changed_and_deleted() {
    let platform = hello().await;
    let request = with(timer("tick", "0 0 9 * * MON-FRI *"), json!({"CustomArgument": "hi", "Description": "work"}));
    let made = platform.ok("CreateTrigger", request).await["TriggerInfo"].clone();
    let expected = json!({"TriggerName": "tick", "Type": "timer", "TriggerDesc": r#"{"cron":"0 0 9 * * MON-FRI *"}"#,
        "Enable": 1, "Qualifier": "$LATEST", "AvailableStatus": "Available", "CustomArgument": "hi",
        "Description": "work", "BindStatus": "", "TriggerAttribute": "", "BoundResources": [],
        "AddTime": made["AddTime"], "ModTime": made["ModTime"], "ResourceId": made["ResourceId"]});
    assert_eq!(made, expected);
    assert!(made["ResourceId"].as_str().unwrap().starts_with("trg-"));
    assert_eq!(listed(&platform, json!({})).await, std::slice::from_ref(&made));
    let function = platform.ok("GetFunction", json!({"FunctionName": "hello"})).await;
    assert_eq!(function["Triggers"], json!([made]));
    let object = r#"{"cron": "*/5 * * * *", "zone": "+01:00", "max_age_s": 60}"#;
    platform.ok("UpdateTrigger", with(timer("tick", object), json!({"Enable": "CLOSE"}))).await;
    let changed = listed(&platform, json!({})).await.remove(0);
    assert_eq!(changed["TriggerDesc"], r#"{"cron":"*/5 * * * *","max_age_s":60,"zone":"+01:00"}"#);
    assert_eq!((&changed["Enable"], &changed["CustomArgument"]), (&json!(0), &json!("hi")));
    let status = |enable: &str| with(timer("tick", ""), json!({"Enable": enable}));
    platform.ok("UpdateTriggerStatus", status("OPEN")).await;
    let again = platform.refused("UpdateTriggerStatus", status("OPEN")).await;
    assert!(again.starts_with("FailedOperation.UpdateTriggerStatus: Enable: the timer trigger tick"), "{again}");
    platform.ok("DeleteTrigger", timer("tick", "")).await;
    assert!(listed(&platform, json!({})).await.is_empty());
    platform.stop().await;
}

#[tokio::test]
async fn an_http_trigger_is_answered_with_the_urls_of_its_version() {
    let platform = hello().await;
    platform.ok("PublishVersion", json!({"FunctionName": "hello"})).await;
    let latest = json!({"AuthType": "NONE"});
    let request = |qualifier: &str, desc: &Value| {
        with(timer("url", &desc.to_string()), json!({"Type": "http", "Qualifier": qualifier}))
    };
    let made = platform.ok("CreateTrigger", request("$LATEST", &latest)).await;
    let desc = |trigger: &Value| serde_json::from_str::<Value>(trigger["TriggerDesc"].as_str().unwrap()).unwrap();
    let net = desc(&made["TriggerInfo"])["NetConfig"].clone();
    // The API was called at 127.0.0.1, the gateway listens on all addresses.
    assert_eq!(net["IntranetUrl"], "http://127.0.0.1:7080/fn/default/hello/");
    assert_eq!(net["ExtranetUrl"], "https://fn.example.com/fn/default/hello/");
    let inside = json!({"AuthType": "CAM", "NetConfig": {"EnableIntranet": true, "EnableExtranet": false}});
    let made = platform.ok("CreateTrigger", request("1", &inside)).await;
    let net = desc(&made["TriggerInfo"])["NetConfig"].clone();
    assert_eq!(net["IntranetUrl"], "http://127.0.0.1:7080/fn/default/hello:1/");
    assert_eq!(net.get("ExtranetUrl"), None, "{net}");
    // An answer is accepted as a request, and URLs are not stored.
    let listed = listed(&platform, json!({"Order": "ASC", "OrderBy": "add_time"})).await;
    platform.ok("UpdateTrigger", request("1", &desc(&listed[1]))).await;
    let function = platform.ok("GetFunction", json!({"FunctionName": "hello", "Qualifier": "1"})).await;
    assert_eq!(desc(&function["Triggers"][0])["NetConfig"], net);
    // If `$DEFAULT` has a URL of its own or another route, the path without a qualifier is the
    // alias's.
    platform.ok("CreateTrigger", request("$DEFAULT", &latest)).await;
    let function = platform.ok("GetFunction", json!({"FunctionName": "hello"})).await;
    let net = desc(&function["Triggers"][0])["NetConfig"].clone();
    assert_eq!(net["ExtranetUrl"], "https://fn.example.com/fn/default/hello:$LATEST/");
    platform.stop().await;
}

#[tokio::test]
async fn a_job_image_has_no_url() {
    let platform = hello().await;
    let mut code = crate::support::code("localhost:5000/ns/app:v1");
    code["ImageConfig"]["ImagePort"] = json!(-1);
    platform.deploy(json!({"FunctionName": "job", "Code": code})).await;
    let of_job = json!({"FunctionName": "job", "Type": "http"});
    let desc = json!({"AuthType": "NONE"}).to_string();
    for qualifier in ["$LATEST", "$DEFAULT"] {
        let request = with(with(timer("url", &desc), of_job.clone()), json!({"Qualifier": qualifier}));
        let refused = platform.refused("CreateTrigger", request).await;
        let start = format!("UnsupportedOperation.Trigger: Type: {qualifier} of function default/job is a job image");
        assert!(refused.starts_with(&start), "{refused}");
    }
    let request = with(timer("tick", "0 0 3 * * * *"), json!({"FunctionName": "job"}));
    platform.ok("CreateTrigger", request).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_version_has_one_url() {
    let platform = hello().await;
    let url =
        |name: &str, auth: &str| with(timer(name, &json!({"AuthType": auth}).to_string()), json!({"Type": "http"}));
    platform.ok("CreateTrigger", url("first", "CAM")).await;
    let refused = platform.refused("CreateTrigger", url("second", "NONE")).await;
    assert!(refused.starts_with("ResourceInUse.TriggerName: $LATEST has the URL first already"), "{refused}");
    platform.stop().await;
}

#[tokio::test]
async fn triggers_are_listed_in_pages_by_time_and_by_what_they_have() {
    let platform = hello().await;
    for name in ["b", "c", "a"] {
        let made = platform.ok("CreateTrigger", with(timer(name, "* * * * *"), json!({"Description": name}))).await;
        assert_eq!(made["TriggerInfo"]["Enable"], 1);
        let key = types::FunctionKey { namespace: "default".parse().unwrap(), name: "hello".parse().unwrap() };
        let newest = || {
            let catalog = platform.store.catalog().load_full();
            catalog.functions.get(&key).unwrap().triggers.iter().map(|trigger| trigger.added_ms).max().unwrap()
        };
        while jiff::Timestamp::now().as_millisecond() <= newest() {
            tokio::task::yield_now().await;
        }
    }
    let names = async |fields: Value| -> Vec<String> {
        listed(&platform, fields).await.iter().map(|it| it["TriggerName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(json!({"Order": "ASC", "OrderBy": "add_time"})).await, ["b", "c", "a"]);
    assert_eq!(names(json!({})).await, ["a", "c", "b"]);
    assert_eq!(names(json!({"Offset": 1, "Limit": 1})).await, ["c"]);
    assert_eq!(names(json!({"Filters": [{"Name": "TriggerName", "Values": ["a", "x"]}]})).await, ["a"]);
    assert_eq!(names(json!({"Filters": [{"Name": "Qualifier", "Values": ["1"]}]})).await, Vec::<String>::new());
    platform.deploy(json!({"FunctionName": "bare"})).await;
    for (fields, code) in [
        (json!({"Filters": [{"Name": "Type", "Values": ["timer"]}]}), "InvalidParameterValue.Filters"),
        // Also after a filter without matches, and for a function without triggers.
        (
            json!({"Filters": [{"Name": "TriggerName", "Values": ["x"]}, {"Name": "Type", "Values": ["timer"]}]}),
            "InvalidParameterValue.Filters",
        ),
        (
            json!({"FunctionName": "bare", "Filters": [{"Name": "Type", "Values": ["timer"]}]}),
            "InvalidParameterValue.Filters",
        ),
        (json!({"Filters": [{"Name": "TriggerName", "Values": []}]}), "InvalidParameterValue.Filters"),
        (json!({"Filters": [{"Name": "TriggerName", "Values": vec!["x"; 21]}]}), "InvalidParameterValue.Filters"),
        (
            json!({"Filters": vec![json!({"Name": "TriggerName", "Values": ["x"]}); 11]}),
            "InvalidParameterValue.Filters",
        ),
        (json!({"Limit": 0}), "InvalidParameterValue.Limit"),
        (json!({"Offset": -1}), "InvalidParameterValue.Offset"),
        (json!({"FunctionName": ""}), "MissingParameter"),
        (json!({"Namespace": "none"}), "ResourceNotFound.Namespace"),
        (json!({"OrderBy": "name"}), "InvalidParameterValue.OrderBy"),
        (json!({"Order": "up"}), "InvalidParameterValue.Order"),
        (json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
    ] {
        assert_eq!(platform.code("ListTriggers", with(json!({"FunctionName": "hello"}), fields)).await, code);
    }
    platform.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_trigger_has_its_code() {
    let platform = hello().await;
    platform.deploy(json!({"FunctionName": "web", "Type": "HTTP"})).await;
    platform.ok("CreateTrigger", timer("tick", "* * * * *")).await;
    let tick = || timer("other", "* * * * *");
    let url = r#"{"AuthType":"NONE"}"#;
    let token = r#"{"Scheme":"bearer","Secrets":["a-token-of-some-length"]}"#;
    let of = |kind: &str, desc: &str| {
        let named = json!({"TriggerName": kind, "Type": kind, "TriggerDesc": desc});
        with(json!({"FunctionName": "hello"}), named)
    };
    platform.ok("CreateTrigger", of("http", url)).await;
    platform.ok("CreateTrigger", of("webhook", token)).await;
    let table = [
        // Fields that a type does not use are refused.
        (
            "CreateTrigger",
            with(of("http", url), json!({"CustomArgument": "a"})),
            "InvalidParameterValue.CustomArgument",
        ),
        (
            "UpdateTrigger",
            with(of("http", url), json!({"CustomArgument": "a"})),
            "InvalidParameterValue.CustomArgument",
        ),
        (
            "UpdateTrigger",
            with(of("webhook", token), json!({"CustomArgument": "a"})),
            "InvalidParameterValue.CustomArgument",
        ),
        (
            "CreateTrigger",
            of("http", r#"{"AuthType":"NONE","rate_per_minute":5}"#),
            "InvalidParameterValue.TriggerDesc",
        ),
        ("UpdateTrigger", of("http", r#"{"AuthType":"NONE","max_age_s":5}"#), "InvalidParameterValue.TriggerDesc"),
        (
            "CreateTrigger",
            of("cloudevents", r#"{"Scheme":"none","WindowSeconds":5}"#),
            "InvalidParameterValue.TriggerDesc",
        ),
        ("CreateTrigger", of("webhook", r#"{"Scheme":"none"}"#), "InvalidParameterValue.TriggerDesc"),
        ("CreateTrigger", of("webhook", r#"{"Scheme":"github","Secrets":[]}"#), "InvalidParameterValue.TriggerDesc"),
        ("CreateTrigger", of("cos", "{}"), "InvalidParameterValue.TriggerDesc"),
        ("CreateTrigger", of("cos", r#"{"event":"cos:ObjectTagging:*"}"#), "InvalidParameterValue.TriggerDesc"),
        (
            "CreateTrigger",
            of("http", r#"{"AuthType":"NONE","CorsConfig":{"Enable":true,"MaxAge":86401}}"#),
            "InvalidParameterValue.Cors",
        ),
        ("UpdateTrigger", json!({}), "MissingParameter"),
        ("UpdateTrigger", with(timer("tick", ""), json!({"Type": "alarm"})), "InvalidParameterValue.Type"),
        ("UpdateTrigger", with(timer("tick", ""), json!({"Type": "cmq"})), "UnsupportedOperation.Trigger"),
        ("UpdateTrigger", with(timer("tick", ""), json!({"Enable": "ON"})), "InvalidParameterValue.Enable"),
        ("UpdateTrigger", with(timer("tick", ""), json!({"Qualifier": "nope"})), "ResourceNotFound.Trigger"),
        ("UpdateTrigger", with(timer("tick", ""), json!({"Qualifier": "a b"})), "InvalidParameterValue.Qualifier"),
        (
            "UpdateTrigger",
            with(timer("tick", ""), json!({"CustomArgument": "x".repeat(4097)})),
            "InvalidParameterValue.CustomArgument",
        ),
        (
            "UpdateTrigger",
            with(timer("tick", ""), json!({"Description": "x".repeat(1001)})),
            "InvalidParameterValue.Description",
        ),
        ("UpdateTriggerStatus", with(timer("tick", ""), json!({"Enable": "ON"})), "InvalidParameterValue.Enable"),
        (
            "UpdateTriggerStatus",
            with(timer("tick", ""), json!({"Enable": "OPEN"})),
            "FailedOperation.UpdateTriggerStatus",
        ),
        (
            "UpdateTriggerStatus",
            with(timer("tick", ""), json!({"FunctionName": "none", "Enable": "OPEN"})),
            "ResourceNotFound.Function",
        ),
        ("DeleteTrigger", json!({"FunctionName": "hello"}), "MissingParameter"),
        ("DeleteTrigger", with(timer("tick", ""), json!({"Type": ""})), "MissingParameter"),
        ("DeleteTrigger", with(timer("tick", ""), json!({"FunctionName": "none"})), "ResourceNotFound.Function"),
        ("DeleteTrigger", with(timer("tick", ""), json!({"Namespace": "none"})), "ResourceNotFound.Namespace"),
        ("CreateTrigger", json!({}), "MissingParameter"),
        ("CreateTrigger", with(tick(), json!({"Type": ""})), "MissingParameter"),
        ("CreateTrigger", with(tick(), json!({"Type": "ckafka"})), "UnsupportedOperation.Trigger"),
        ("CreateTrigger", with(tick(), json!({"Type": "alarm"})), "InvalidParameterValue.Type"),
        ("CreateTrigger", with(tick(), json!({"TriggerName": "a b"})), "InvalidParameterValue.TriggerName"),
        ("CreateTrigger", timer("other", ""), "InvalidParameterValue.TriggerDesc"),
        ("CreateTrigger", timer("other", "0 0 0 30 2 * *"), "InvalidParameterValue.TriggerDesc"),
        ("CreateTrigger", with(tick(), json!({"Enable": "ON"})), "InvalidParameterValue.Enable"),
        (
            "CreateTrigger",
            with(tick(), json!({"CustomArgument": "x".repeat(4097)})),
            "InvalidParameterValue.CustomArgument",
        ),
        ("CreateTrigger", with(tick(), json!({"Description": "x".repeat(1001)})), "InvalidParameterValue.Description"),
        ("CreateTrigger", with(tick(), json!({"Qualifier": "1"})), "ResourceNotFound.Qualifier"),
        ("CreateTrigger", with(tick(), json!({"FunctionName": "none"})), "ResourceNotFound.Function"),
        ("CreateTrigger", with(tick(), json!({"Namespace": "none"})), "ResourceNotFound.Namespace"),
        ("CreateTrigger", with(tick(), json!({"FunctionName": "web"})), "UnsupportedOperation.Trigger"),
        ("CreateTrigger", timer("tick", "* * * * *"), "ResourceInUse.TriggerName"),
        ("UpdateTrigger", tick(), "ResourceNotFound.Trigger"),
        ("UpdateTrigger", timer("tick", "never"), "InvalidParameterValue.TriggerDesc"),
        ("UpdateTriggerStatus", timer("tick", ""), "MissingParameter"),
        ("UpdateTriggerStatus", with(tick(), json!({"Enable": "OPEN"})), "ResourceNotFound.Trigger"),
        ("DeleteTrigger", tick(), "ResourceNotFound.Trigger"),
        ("DeleteTrigger", with(timer("tick", ""), json!({"Qualifier": "$DEFAULT"})), "ResourceNotFound.Trigger"),
    ];
    for (action, request, code) in table {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    for n in 1..10 {
        platform.ok("CreateTrigger", timer(&format!("t{n}"), "* * * * *")).await;
    }
    assert_eq!(platform.code("CreateTrigger", tick()).await, "LimitExceeded.Trigger");
    platform.stop().await;
}

#[tokio::test]
async fn a_trigger_is_tried_out_by_a_marked_event_and_tells_its_next_times() {
    let platform = hello().await;
    let desc = r#"{"cron": "0 0 12 * * * *", "zone": "+00:00"}"#;
    platform.ok("CreateTrigger", with(timer("noon", desc), json!({"Enable": "CLOSE"}))).await;
    let tested = platform.extension("TestTrigger", timer("noon", "")).await;
    let id = tested["Result"]["FunctionRequestId"].as_str().unwrap().to_owned();
    let ended = tokio::time::timeout(Duration::from_secs(30), async {
        while platform.ok("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await["Result"]["Status"] == "RUNNING"
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    ended.await.expect("the event ends");
    let events =
        platform.ok("ListAsyncEvents", json!({"FunctionName": "hello", "InvokeType": ["TRIGGER_TIMER"]})).await;
    let event = &events["EventList"][0];
    assert_eq!((&event["InvokeRequestId"], &event["Status"]), (&json!(id), &json!("FINISHED")));
    let times = platform.extension("GetTriggerTimes", with(timer("noon", ""), json!({"Limit": 2}))).await;
    let at = |n: usize| times["Times"][n].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert!(at(0) > now_s() - 60 && at(0) % 86_400 == 43_200 && at(1) - at(0) == 86_400, "{times}");
    platform.stop().await;
}
