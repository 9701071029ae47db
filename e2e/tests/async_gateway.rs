//! Asynchronous calls through the gateway's `/async/`: accepted calls run unchanged across kills
//! and restarts of the platform, and only signed calls are accepted.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::Duration;

use e2e::small_disk::SmallDisk;
use e2e::{AsyncClient, Platform, event_storm, tools, wait};
use reqwest::Method;
use serde_json::json;

/// Signs a request with Python's standard library alone, following the documentation.
const PYTHON: &str = r#"
import datetime, hashlib, hmac, json, sys, time, urllib.request
gateway, secret_id, secret_key, path, body = sys.argv[1:]
host, stamp = gateway.split("//")[1], str(int(time.time()))
date = datetime.datetime.fromtimestamp(int(stamp), datetime.timezone.utc).strftime("%Y-%m-%d")
sha = lambda text: hashlib.sha256(text.encode()).hexdigest()
mac = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256)
headers = f"content-type:text/plain\nhost:{host}\nx-delay-seconds:0\n"
names = "content-type;host;x-delay-seconds"
request = f"POST\n{path}\na=1\n{headers}\n{names}\n{sha(body)}"
text = f"TC3-HMAC-SHA256\n{stamp}\n{date}/scf/tc3_request\n{sha(request)}"
key = mac(mac(mac(("TC3" + secret_key).encode(), date).digest(), "scf").digest(), "tc3_request").digest()
credential = f"{secret_id}/{date}/scf/tc3_request"
signature = mac(key, text).hexdigest()
auth = f"TC3-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
sent = {"Authorization": auth, "X-TC-Timestamp": stamp, "Content-Type": "text/plain", "X-Delay-Seconds": "0"}
call = urllib.request.Request(f"{gateway}{path}?a=1", body.encode(), sent, method="POST")
with urllib.request.urlopen(call) as answer:
    assert answer.status == 202, answer.status
    print(json.load(answer)["requestId"])
"#;

async fn start(env: &[(&str, &str)]) -> anyhow::Result<(Platform, AsyncClient)> {
    let platform = Platform::start_with(env).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--timeout", "30"]).await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    let client = AsyncClient::of(&platform);
    Ok((platform, client))
}

async fn finished(platform: &Platform, id: &str) -> anyhow::Result<()> {
    wait::until(&format!("{id} is finished"), || async {
        let found = platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?;
        anyhow::ensure!(found["Result"]["Status"] != "FAILED", "{found}");
        Ok((found["Result"]["Status"] == "FINISHED").then_some(()))
    })
    .await
}

/// Waits until the log of a call contains a text.
async fn logged(platform: &Platform, function: &str, id: &str, text: &str) -> anyhow::Result<()> {
    let log = platform.api.log_of(function, id).await?;
    anyhow::ensure!(log["Log"].as_str().is_some_and(|log| log.contains(text)), "no {text:?} in {log}");
    Ok(())
}

#[tokio::test]
async fn signed_calls_of_both_kinds_of_functions_run_and_are_logged_under_their_id() -> anyhow::Result<()> {
    let (platform, client) = start(&[]).await?;
    let event = client.accepted("event", &[], r#"{"number": 1}"#).await?;
    let web = client.accepted("web:$LATEST/a//b/%2F?x=%20", &[], "hello").await?;
    finished(&platform, &event).await?;
    finished(&platform, &web).await?;
    logged(&platform, "event", &event, "POST /event-invoke").await?;
    logged(&platform, "web", &web, "POST /a//b/%2F?x=%20").await?;
    let put = client.send(Method::PUT, "web/status?404", &[], Vec::new()).await?;
    let put = put.headers()["x-call-id"].to_str()?.to_owned();
    finished(&platform, &put).await?;
    logged(&platform, "web", &put, "PUT /status?404").await?;
    let listed = platform.api.call("ListAsyncEvents", json!({"FunctionName": "web"})).await?;
    assert_eq!(listed["TotalCount"], 2, "{listed}");
    platform.stop().await
}

#[tokio::test]
async fn calls_that_were_accepted_before_a_kill_run_after_it_and_their_keys_are_known() -> anyhow::Result<()> {
    let (mut platform, client) = start(&[]).await?;
    let mut ids = vec![client.accepted("web/sleep?2000", &[], "").await?];
    let delayed = [("X-Delay-Seconds", "2"), ("Idempotency-Key", "late")];
    ids.push(client.accepted("web/late", &delayed, "").await?);
    for number in 0..20 {
        let key = number.to_string();
        ids.push(client.accepted("event", &[("Idempotency-Key", &key)], "{}").await?);
        ids.push(client.accepted(&format!("web/{number}"), &[("Idempotency-Key", &key)], "x").await?);
    }
    platform.kill().await?;
    let platform = platform.restart().await?;
    let client = AsyncClient::of(&platform);
    assert_eq!(client.accepted("web/late", &delayed, "").await?, ids[1]);
    assert_eq!(client.accepted("event", &[("Idempotency-Key", "0")], "{}").await?, ids[2]);
    for id in &ids {
        finished(&platform, id).await?;
    }
    let listed = platform.api.call("ListAsyncEvents", json!({"FunctionName": "web", "Limit": 100})).await?;
    assert_eq!(listed["TotalCount"], 22, "none was accepted twice: {listed}");
    platform.stop().await
}

#[tokio::test]
async fn only_who_signs_this_very_call_may_call() -> anyhow::Result<()> {
    let (platform, client) = start(&[]).await?;
    let unsigned = platform.http.post(format!("{}/async/default/web/", platform.gateway)).send().await?;
    assert_eq!(
        (unsigned.status().as_u16(), &unsigned.headers()["www-authenticate"]),
        (401, &"TC3-HMAC-SHA256".parse()?)
    );
    // Signed for one function, sent to another.
    let headers = signature::tc3::sign_http(&signature::tc3::HttpRequest {
        secret_id: &platform.api.secret_id,
        secret_key: &platform.api.secret_key,
        method: "POST",
        host: platform.gateway.trim_start_matches("http://"),
        path: "/async/default/web/",
        query: "",
        content_type: "text/plain",
        timestamp_s: jiff::Timestamp::now().as_second(),
        body: b"{}",
    });
    let send = async |function: &str, body: &'static str| {
        let mut request = platform.http.post(format!("{}/async/default/{function}/", platform.gateway)).body(body);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    assert_eq!((send("web", "{}").await?, send("event", "{}").await?, send("web", "{ }").await?), (202, 401, 401));
    let mut python = tools::command("python3");
    python.args(["-c", PYTHON, &platform.gateway, &platform.api.secret_id, &platform.api.secret_key]);
    let id = tools::run_ok(python.args(["/async/default/web/from/python", "a body"])).await?;
    finished(&platform, id.trim()).await?;
    logged(&platform, "web", id.trim(), "POST /from/python?a=1").await?;
    drop(client);
    platform.stop().await
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_those_that_were_accepted_run() -> anyhow::Result<()> {
    let disk = SmallDisk::make("96m")?;
    let env = [("SAMPAN_EVENTS__DISK_FREE_BYTES_MIN", "16777216")];
    let platform = Platform::start_below(disk.path(), &env).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    let client = AsyncClient::of(&platform);
    let slow = client.accepted("event", &[], r#"{"route": "sleep?3000"}"#).await?;
    disk.fill()?;
    let refused = client.send(Method::POST, "event", &[], b"{}".to_vec()).await?;
    let (status, said) = (refused.status().as_u16(), refused.text().await?);
    assert!(status == 507 && said.contains("events.disk_free_bytes_min"), "{status} {said}");
    let body = json!({"FunctionName": "event", "InvocationType": "Event"});
    let (code, _) = platform.api.refused("Invoke", body).await?;
    assert_eq!(code, "ResourceInsufficient");
    disk.make_room()?;
    let next = client.accepted("event", &[], "{}").await?;
    finished(&platform, &slow).await?;
    finished(&platform, &next).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_commit_that_finds_no_room_is_refused_and_the_next_one_works() -> anyhow::Result<()> {
    let disk = SmallDisk::make("64m")?;
    let platform = Platform::start_below(disk.path(), &[("SAMPAN_EVENTS__DISK_FREE_BYTES_MIN", "0")]).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    let client = AsyncClient::of(&platform);
    disk.fill()?;
    let event = format!("\"{}\"", "x".repeat(100_000));
    let mut accepted = Vec::new();
    // The write-ahead log may have allocated space for some events.
    let said = loop {
        let late = [("X-Delay-Seconds", "1")];
        let answer = client.send(Method::POST, "event", &late, event.clone().into()).await?;
        if answer.status() != 202 {
            break (answer.status().as_u16(), answer.text().await?);
        }
        accepted.push(answer.headers()["x-call-id"].to_str()?.to_owned());
        anyhow::ensure!(accepted.len() < 1_000, "the disk is not full");
    };
    assert!(said.0 == 507 && said.1.contains("takes events again once there is room"), "{said:?}");
    disk.make_room()?;
    accepted.push(client.accepted("event", &[], "{}").await?);
    for id in &accepted {
        finished(&platform, id).await?;
    }
    platform.stop().await
}

#[tokio::test]
async fn limits_that_would_accept_nothing_are_refused_by_name() -> anyhow::Result<()> {
    let Err(refused) = Platform::start_with(&[("SAMPAN_GATEWAY__ASYNC__REQUESTS_PER_S_MAX", "0")]).await else {
        anyhow::bail!("a gateway without asynchronous calls starts");
    };
    let refused = format!("{refused:#}");
    anyhow::ensure!(refused.contains("gateway.async.requests_per_s_max = 0 is not allowed"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dozen_kills_lose_no_acknowledged_call_and_repeat_only_claimed_ones() -> anyhow::Result<()> {
    let found = event_storm::run(12, Duration::MAX, |_, _| {}).await?;
    anyhow::ensure!(found.acknowledged >= 12, "{found:?}");
    Ok(())
}
