//! External sources of events: function URLs, webhooks and CloudEvents, and objects of real stores,
//! also across kills of the platform or the store.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::{Context, ensure};
use e2e::object_stores::{ACCESS_KEY, ObjectStore, SECRET_KEY};
use e2e::{Platform, tools, wait};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-of-some-length";

async fn with_event_function(env: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    Ok(platform)
}

async fn create(platform: &Platform, kind: &str, name: &str, desc: &Value) -> anyhow::Result<Value> {
    let body = json!({
        "FunctionName": "event", "TriggerName": name, "Type": kind, "TriggerDesc": desc.to_string(),
        "Qualifier": "$DEFAULT",
    });
    Ok(platform.api.call("CreateTrigger", body).await?["TriggerInfo"].clone())
}

/// Payloads of the function's events that succeeded.
async fn got(platform: &Platform, invoke_type: &str) -> anyhow::Result<Vec<Value>> {
    let body = json!({"FunctionName": "event", "InvokeType": [invoke_type], "Status": ["FINISHED"], "Limit": 100});
    let listed = platform.api.call("ListAsyncEvents", body).await?;
    let mut events = Vec::new();
    for event in listed["EventList"].as_array().into_iter().flatten() {
        let id = event["InvokeRequestId"].as_str().unwrap_or_default();
        let answer = tools::run_ok(&mut platform.cli(&["events", "get", id, "--result"])).await?;
        events.push(serde_json::from_str::<Value>(&answer)?["event"].clone());
    }
    Ok(events)
}

/// `name key` of each object event, sorted.
async fn objects(platform: &Platform) -> anyhow::Result<Vec<String>> {
    let text = |event: &Value, path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let object = |event: &Value| {
        let name = text(event, "/Records/0/event/eventName");
        format!("{} {}", name.trim_start_matches("cos:Object"), text(event, "/Records/0/cos/cosObject/key"))
    };
    let mut all: Vec<String> = got(platform, "COS").await?.iter().map(object).collect();
    all.sort();
    Ok(all)
}

async fn until_objects(platform: &Platform, expected: &[&str]) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    let found = wait::until("the objects are events", || async {
        let all = objects(platform).await?;
        Ok((all.len() >= expected.len()).then_some(all))
    });
    match found.await {
        Ok(all) => seen.extend(all),
        Err(error) => anyhow::bail!("{error}: {:?}, not {expected:?}", objects(platform).await?),
    }
    ensure!(seen == expected, "{seen:?}, not {expected:?}");
    Ok(())
}

#[tokio::test]
async fn a_function_with_a_cam_url_wants_signatures_on_every_route() -> anyhow::Result<()> {
    let platform = with_event_function(&[]).await?;
    let made = create(&platform, "http", "url", &json!({"AuthType": "CAM"})).await?;
    ensure!(made["TriggerDesc"].as_str().is_some_and(|desc| desc.contains("CAM")), "{made}");
    let path = "/fn/default/event/";
    let listed = tools::run_ok(&mut platform.cli(&["trigger", "list", "event"])).await?;
    ensure!(listed.lines().any(|line| line.ends_with(&format!("{}{path}", platform.gateway))), "{listed}");
    let unsigned = async |method: reqwest::Method, target: &str, host: &str| {
        let request = platform.http.request(method, format!("{}{target}", platform.gateway));
        anyhow::Ok(request.header("host", host).send().await?.status().as_u16())
    };
    for (target, host) in [(path, "h"), ("/fn/default/event:$LATEST/", "h"), ("/", "event.default.fn.localhost")] {
        ensure!(unsigned(reqwest::Method::POST, target, host).await? == 401, "{target} {host}");
    }
    ensure!(unsigned(reqwest::Method::POST, "/async/default/event/", "h").await? == 401);
    let signed = signature::tc3::sign_http(&signature::tc3::HttpRequest {
        secret_id: &platform.api.secret_id,
        secret_key: &platform.api.secret_key,
        method: "POST",
        host: platform.gateway.trim_start_matches("http://"),
        path,
        query: "",
        content_type: "application/json",
        timestamp_s: jiff::Timestamp::now().as_second(),
        body: b"{}",
    });
    let send = async |body: &'static str| {
        let mut request = platform.http.post(format!("{}{path}", platform.gateway)).body(body);
        for (name, value) in &signed {
            request = request.header(*name, value);
        }
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    ensure!(send("{}").await? == 200);
    ensure!(send("{ }").await? == 401, "the signature is over the bytes");
    let open = json!({
        "FunctionName": "event", "TriggerName": "url", "Type": "http", "Qualifier": "$DEFAULT",
        "TriggerDesc": json!({"AuthType": "NONE"}).to_string(),
    });
    platform.api.call("UpdateTrigger", open).await?;
    ensure!(unsigned(reqwest::Method::POST, path, "h").await? == 200);
    ensure!(unsigned(reqwest::Method::POST, "/async/default/event/", "h").await? == 202);
    platform.stop().await
}

#[tokio::test]
async fn invoke_signs_calls_of_a_web_function_with_a_cam_url() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    let desc = r#"{"AuthType":"CAM"}"#;
    tools::run_ok(&mut platform.cli(&["trigger", "create", "web", "url", "--type", "http", "--desc", desc])).await?;
    let unsigned = platform.http.get(format!("{}/fn/default/web/", platform.gateway)).send().await?;
    ensure!(unsigned.status() == 401);
    for args in [&["--path", "/a?x=1%202"][..], &["--data", "hello"]] {
        let args = [&["invoke", "web"], args].concat();
        tools::run_ok(&mut platform.cli(&args)).await?;
    }
    let wrong = ["invoke", "web", "-H", "Authorization: Bearer mine"];
    let wrong = tools::run(&mut platform.cli(&wrong)).await?;
    ensure!(!wrong.ok, "what the user gave is not replaced: {}", wrong.stdout);
    let again = tools::run_ok(&mut platform.cli(&["deploy", "web", "--memory", "256"])).await?;
    ensure!(again.contains("(signed, as `sampan invoke web` does)"), "{again}");
    platform.stop().await
}

#[tokio::test]
async fn what_was_acknowledged_to_a_sender_is_run_over_a_kill_and_once() -> anyhow::Result<()> {
    let mut platform = with_event_function(&[]).await?;
    let desc = json!({"Scheme": "none", "EventPattern": {"type": ["paid"]}});
    create(&platform, "cloudevents", "ce", &desc).await?;
    let refused = create(&platform, "webhook", "w", &json!({"Scheme": "github", "Secrets": [""]})).await;
    let refused = refused.expect_err("an empty secret").to_string();
    ensure!(refused.contains("InvalidParameterValue.TriggerDesc") && refused.contains("has 0 bytes"), "{refused}");
    let send = async |platform: &Platform, id: usize, kind: &str| {
        let request = platform.http.post(format!("{}/hooks/default/event/ce", platform.gateway));
        let headers = [("ce-specversion", "1.0"), ("ce-source", "/shop"), ("ce-type", kind)];
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.header("ce-id", id.to_string()).body("{\"n\":  1.0}").send().await?;
        let expected = if kind == "paid" { 202 } else { 200 };
        ensure!(answer.status() == expected, "{}", answer.text().await?);
        Ok(answer.json::<Value>().await?["requestIds"].clone())
    };
    let mut first = Vec::new();
    for id in 0..20 {
        first.push(send(&platform, id, "paid").await?);
    }
    ensure!(send(&platform, 99, "open").await? == json!([]), "the pattern leaves it out");
    platform.kill().await?;
    let platform = platform.restart().await?;
    for (id, before) in first.iter().enumerate() {
        ensure!(send(&platform, id, "paid").await? == *before, "the same event");
    }
    let all = wait::until("all events have ended", || async {
        let all = got(&platform, "INVOKE").await?;
        Ok((all.len() >= 20).then_some(all))
    })
    .await?;
    ensure!(all.len() == 20, "{}", all.len());
    ensure!(all[0]["data"] == json!({"n": 1.0}) && all[0]["source"] == "/shop", "{}", all[0]);
    platform.stop().await
}

#[tokio::test]
async fn notifications_of_moto_are_events() -> anyhow::Result<()> {
    let platform = with_event_function(&[("SAMPAN_GATEWAY__SNS_UNSIGNED", "true")]).await?;
    let desc =
        json!({"event": "cos:ObjectCreated:*", "filter": {"Prefix": "in/", "Suffix": ".mp4"}, "Secrets": [TOKEN]});
    let made = create(&platform, "cos", "films", &desc).await?;
    // The displayed description contains no secret, and can be sent back unchanged.
    let shown = made["TriggerDesc"].as_str().unwrap_or_default();
    ensure!(shown.contains("***") && !shown.contains(TOKEN), "{shown}");
    let update = json!({
        "FunctionName": "event", "TriggerName": "films", "Type": "cos", "Qualifier": "$DEFAULT",
        "TriggerDesc": shown,
    });
    platform.api.call("UpdateTrigger", update).await?;
    let mut store = ObjectStore::moto().await?;
    // SNS supports passwords in URLs but no tokens; moto's signatures have no certificate.
    let hook = platform.gateway.replace("http://", &format!("http://sns:{TOKEN}@"));
    let hook = format!("{hook}/hooks/default/event/films");
    store.client(&["make", "films"]).await?;
    store.client(&["notify", "films", &hook]).await?;
    store.client(&["put", "films", "in/a b+%25.mp4", "in/a.txt", "out/a.mp4", "in/对象.mp4"]).await?;
    store.client(&["delete", "films", "in/对象.mp4"]).await?;
    let expected = ["Created:Put /1250000000/films/in/a b+%25.mp4", "Created:Put /1250000000/films/in/对象.mp4"];
    until_objects(&platform, &expected).await?;
    // After a kill the store has lost its objects, and does not repeat notifications.
    store.kill().await?;
    let platform = platform.kill_and_restart().await?;
    store.start_again().await?;
    let hook = platform.gateway.replace("http://", &format!("http://sns:{TOKEN}@"));
    store.client(&["make", "films"]).await?;
    store.client(&["notify", "films", &format!("{hook}/hooks/default/event/films")]).await?;
    store.client(&["put", "films", "in/z.mp4"]).await?;
    until_objects(&platform, &[expected[0], "Created:Put /1250000000/films/in/z.mp4", expected[1]]).await?;
    platform.stop().await
}

#[tokio::test]
async fn objects_of_seaweedfs_are_found_by_looking_also_after_kills() -> anyhow::Result<()> {
    let mut store = ObjectStore::seaweedfs(None).await?;
    store.client(&["make", "films"]).await?;
    store.client(&["put", "films", "before.mp4"]).await?;
    let platform = with_event_function(&[
        ("SAMPAN_CONNECTIONS__STORE__KIND", "s3"),
        ("SAMPAN_CONNECTIONS__STORE__ENDPOINT", &store.endpoint),
        ("SAMPAN_CONNECTIONS__STORE__ACCESS_KEY", ACCESS_KEY),
        ("SAMPAN_CONNECTIONS__STORE__SECRET_KEY", SECRET_KEY),
    ])
    .await?;
    // The store's times are in seconds: an older object must be at least a second older than the
    // trigger.
    let now = jiff::Timestamp::now().as_second();
    wait::until("the next second", || async { Ok((jiff::Timestamp::now().as_second() > now).then_some(())) }).await?;
    let poll = json!({"Connection": "store", "IntervalSeconds": 5});
    create(&platform, "cos", "films", &json!({"filter": {"Suffix": ".mp4"}, "Poll": poll})).await?;
    store.client(&["put", "films", "a b+%25.mp4", "a.txt"]).await?;
    until_objects(&platform, &["Created:Put /1250000000/films/a b+%25.mp4"]).await?;
    store.kill().await?;
    let platform = platform.kill_and_restart().await?;
    wait::until("the store is missed", || async {
        Ok(platform.platform_log().contains("cannot list a bucket").then_some(()))
    })
    .await?;
    store.start_again().await?;
    store.client(&["put", "films", "c.mp4"]).await?;
    until_objects(&platform, &["Created:Put /1250000000/films/a b+%25.mp4", "Created:Put /1250000000/films/c.mp4"])
        .await?;
    let unknown = create(&platform, "cos", "other", &json!({"Poll": {"Connection": "nowhere"}})).await;
    let unknown = unknown.expect_err("not in the settings").to_string();
    ensure!(unknown.contains("there are: store"), "{unknown}");
    platform.stop().await
}

#[tokio::test]
async fn seaweedfs_notifies_in_its_own_words() -> anyhow::Result<()> {
    let platform = with_event_function(&[]).await?;
    create(&platform, "cos", "films", &json!({"event": "cos:ObjectCreated:*", "Secrets": [TOKEN]})).await?;
    let hook = format!("{}/hooks/default/event/films", platform.gateway);
    let store = ObjectStore::seaweedfs(Some((&hook, TOKEN))).await?;
    store.client(&["make", "films"]).await?;
    store.client(&["put", "films", "in/a b+%25.mp4"]).await?;
    store.client(&["put", "films", "in/b.mp4"]).await?;
    store.client(&["delete", "films", "in/b.mp4"]).await?;
    let expected = ["Created:Put /1250000000/films/in/a b+%25.mp4", "Created:Put /1250000000/films/in/b.mp4"];
    until_objects(&platform, &expected).await.context("SeaweedFS posts what it stored")?;
    platform.stop().await
}
