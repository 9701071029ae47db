//! Web functions through the gateway: requests and responses pass unchanged, cold and warm, and
//! each failure has the contract's status.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::Instant;

use e2e::{Platform, tools, wait};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn with_web(flags: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", flags).await?;
    Ok(platform)
}

/// The headers received by the function, from `/headers`.
async fn seen_headers(answer: reqwest::Response) -> anyhow::Result<Vec<(String, String)>> {
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}

#[tokio::test]
async fn a_request_passes_through_unchanged() -> anyhow::Result<()> {
    let platform = with_web(&[]).await?;
    let text = platform.get("web", "/a/b%20c/?x=1&y=%2F&z").await?.text().await?;
    assert!(text.starts_with("hello from Sampan: GET /a/b%20c/?x=1&y=%2F&z "), "{text}");
    let text = platform.http.delete(platform.url("web", "")).send().await?.text().await?;
    assert!(text.starts_with("hello from Sampan: DELETE / "), "{text}");

    let head = platform.http.head(platform.url("web", "/")).send().await?;
    assert!(head.status().is_success() && head.headers().contains_key("content-length"));
    assert!(head.bytes().await?.is_empty());
    for status in [204, 302, 404, 418, 500, 503] {
        let answer = platform.get("web", &format!("/status?{status}")).await?;
        assert_eq!(answer.status().as_u16(), status);
        assert!(!answer.headers().contains_key("x-scf-status"), "the function's own status is not the platform's");
    }
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let echoed = platform.http.post(platform.url("web", "/echo")).body(body.clone()).send().await?;
    assert_eq!(echoed.bytes().await?, body);
    platform.stop().await
}

#[tokio::test]
async fn the_platforms_headers_are_set_and_cannot_be_forged() -> anyhow::Result<()> {
    let platform = with_web(&["--memory", "256", "--timeout", "7"]).await?;
    let request = platform.http.get(platform.url("web", "/headers"));
    let forged =
        [("X-Scf-Memory", "1"), ("x-scf-request-id", "forged"), ("X-SCF-Anything", "forged"), ("X-Mine", "kept")];
    let request = forged.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.header("Connection", "X-Mine-Hop").header("X-Mine-Hop", "dropped").send().await?;
    let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    let headers = seen_headers(answer).await?;
    let all = |name: &str| headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!(all("x-scf-request-id"), [id.as_str()]);
    assert_eq!(all("x-scf-memory"), ["256"]);
    assert_eq!(all("x-scf-timeout"), ["7"]);
    assert_eq!(all("x-scf-version"), ["$LATEST"]);
    assert_eq!(all("x-scf-name"), ["web"]);
    assert_eq!(all("x-scf-namespace"), ["default"]);
    assert_eq!(all("x-mine"), ["kept"]);
    assert!(headers.iter().all(|(_, value)| value != "forged" && value != "dropped"), "{headers:?}");
    assert!(!all("x-scf-region").is_empty() && !all("x-scf-appid").is_empty() && !all("x-scf-uin").is_empty());
    platform.stop().await
}

#[tokio::test]
async fn the_environment_merges_image_platform_and_function() -> anyhow::Result<()> {
    let platform = with_web(&["--env", "COLOUR=red", "--env", "EMPTY="]).await?;
    for (name, want) in [
        ("COLOUR", "red"),
        ("EMPTY", ""),
        ("TENCENTCLOUD_RUNENV", "SCF"),
        ("SCF_FUNCTIONNAME", "web"),
        ("SCF_FUNCTIONVERSION", "$LATEST"),
        ("USER_CODE_ROOT", "/var/user/"),
    ] {
        assert_eq!(platform.get("web", &format!("/env?{name}")).await?.text().await?, want, "{name}");
    }
    platform.deploy("args", "hello:v1", &["--args", "one two", "--command", "/hello --flag"]).await?;
    assert_eq!(platform.get("args", "/args").await?.text().await?, "/hello\n--flag\none\ntwo");
    platform.stop().await
}

#[tokio::test]
async fn functions_are_addressed_by_host_and_by_path() -> anyhow::Result<()> {
    let platform = with_web(&[]).await?;
    let by_host = async |host: &str, path: &str| {
        let request = platform.http.get(format!("{}{path}", platform.gateway)).header("Host", host);
        let answer = request.send().await?;
        anyhow::Ok((answer.status(), answer.text().await?))
    };
    for host in ["web.default.fn.localhost", "WEB.Default.fn.localhost:7080", "latest--web.default.fn.localhost"] {
        let (status, text) = by_host(host, "/x").await?;
        assert!(status.is_success() && text.contains("GET /x "), "{host}: {status} {text}");
    }
    for path in ["/fn/default/web:$LATEST/x", "/fn/default/web:$DEFAULT/x"] {
        let (status, text) = by_host("anything", path).await?;
        assert!(status.is_success() && text.contains("GET /x "), "{path}: {status} {text}");
    }
    for (host, path) in [("none.default.fn.localhost", "/"), ("any", "/fn/default/none/"), ("any", "/elsewhere")] {
        let (status, text) = by_host(host, path).await?;
        assert_eq!(status, StatusCode::NOT_FOUND, "{host}{path}: {text}");
    }
    platform.stop().await
}

#[tokio::test]
async fn answers_are_streamed_with_trailers() -> anyhow::Result<()> {
    let platform = with_web(&["--timeout", "60"]).await?;
    let request = platform.http.get(platform.url("web", "/chunks?3")).header("X-Interval-Ms", "700");
    let started = Instant::now();
    let mut answer = request.send().await?;
    let first = answer.chunk().await?;
    let first_after = started.elapsed();
    assert_eq!(first.as_deref(), Some(b"chunk 0\n".as_slice()));
    while answer.chunk().await?.is_some() {}
    assert!(started.elapsed() > first_after * 2, "the first chunk came with the last: {first_after:?}");

    let url = platform.url("web", "/echo");
    let raw = ["-sS", "--raw", "-i", "--data-binary", "12345", "-H", "TE: trailers", &url];
    let raw = tools::run_ok(tools::command("curl").args(raw)).await?;
    assert!(raw.to_ascii_lowercase().contains("x-echo-bytes: 5"), "{raw}");
    let h2 = ["-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", &url];
    assert_eq!(tools::run_ok(tools::command("curl").args(h2)).await?, "2 200");
    platform.stop().await
}

#[tokio::test]
async fn a_slow_upload_streams_to_the_function() -> anyhow::Result<()> {
    let platform = with_web(&["--timeout", "60"]).await?;
    let url = platform.url("web", "/echo");
    let script = format!("(printf one; sleep 0.5; printf two) | curl -sS -N -T - -X POST {url}");
    assert_eq!(tools::run_ok(tools::command("sh").args(["-c", &script])).await?, "onetwo");
    platform.stop().await
}

/// Calls a path that makes the invocation fail, and returns the platform's error.
async fn run_fails(platform: &Platform, function: &str, path: &str, status: u16) -> anyhow::Result<Value> {
    let answer = platform.get(function, path).await?;
    assert_eq!(answer.status().as_u16(), status, "{path}");
    assert_eq!(answer.headers()["x-scf-status"], status.to_string().as_str());
    let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    let body: Value = answer.json().await?;
    assert_eq!((&body["statusCode"], &body["requestId"]), (&json!(status), &json!(id)), "{body}");
    let log = platform.api.log_of(function, &id).await?;
    assert_ne!(log["RetCode"], 0, "{log}");
    assert!(log["Log"].as_str().is_some_and(|text| text.contains("ERROR RequestId")), "{log}");
    Ok(body)
}

#[tokio::test]
async fn each_failure_has_the_contracts_status_and_the_next_call_works() -> anyhow::Result<()> {
    let platform = with_web(&["--timeout", "6", "--memory", "128"]).await?;
    let body = run_fails(&platform, "web", "/sleep?10000", 433).await?;
    assert!(body["errorMessage"].as_str().is_some_and(|m| m.contains("6 seconds")), "{body}");
    assert!(platform.get("web", "/").await?.status().is_success());
    run_fails(&platform, "web", "/exit?7", 439).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    run_fails(&platform, "web", "/alloc?400", 434).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    let large = vec![0_u8; 7 * 1024 * 1024];
    let refused = platform.http.post(platform.url("web", "/echo")).body(large).send().await?;
    assert_eq!(refused.status().as_u16(), 406);
    assert!(platform.get("web", "/").await?.status().is_success());
    platform.stop().await
}

#[tokio::test]
async fn an_instance_is_reused_and_stops_when_idle() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_POOL__KEEP_IDLE_S", "1")]).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--no-start-check"]).await?;
    let cgroup = platform.cgroup_name();
    let log_of = async |answer: reqwest::Response| {
        let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
        let log = platform.api.log_of("web", &id).await?;
        anyhow::Ok(log["Log"].as_str().unwrap_or_default().to_owned())
    };
    let cold = log_of(platform.get("web", "/x").await?).await?;
    assert!(cold.contains("Init Report") && cold.contains("Coldstart:"), "{cold}");
    let order = ["START RequestId", "Init Report RequestId", "GET /x", "END RequestId", "Report RequestId"];
    let places: Vec<_> = order.iter().map(|part| cold.rfind(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{cold}");
    let warm = log_of(platform.get("web", "/x").await?).await?;
    assert!(!warm.contains("Init Report"), "{warm}");
    wait::until("the idle instance stops", || async {
        Ok(e2e::leftovers::processes(&cgroup).is_empty().then_some(()))
    })
    .await?;
    assert!(log_of(platform.get("web", "/x").await?).await?.contains("Init Report"));
    platform.stop().await
}

#[tokio::test]
async fn an_instance_serves_up_to_its_concurrency() -> anyhow::Result<()> {
    let platform = with_web(&["--concurrency", "10", "--timeout", "30"]).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    let cgroup = platform.cgroup_name();
    let calls: Vec<_> =
        (0..10).map(|_| tokio::spawn(platform.http.get(platform.url("web", "/sleep?1500")).send())).collect();
    let mut most = 0;
    while !calls.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(e2e::leftovers::processes(&cgroup).len());
        tokio::task::yield_now().await;
    }
    assert_eq!(most, 1, "ten requests at once ran in {most} instances");
    for call in calls {
        assert!(call.await??.status().is_success());
    }
    platform.stop().await
}

#[tokio::test]
async fn a_client_disconnect_is_499_in_the_log_and_frees_the_instance() -> anyhow::Result<()> {
    let platform = with_web(&["--timeout", "60"]).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    let url = platform.url("web", "/sleep?20000");
    tools::run(tools::command("curl").args(["-sS", "-m", "1", &url])).await?;
    let canceled = wait::until("the run ends as canceled", || async {
        let request = json!({"FunctionName": "web", "Filter": {"RetCode": "not0"}});
        let found = platform.api.call("GetFunctionLogs", request).await?;
        Ok(found["Data"].get(0).filter(|r| r["InvokeFinished"] == 1).cloned())
    })
    .await?;
    assert!(canceled["Log"].as_str().is_some_and(|text| text.contains("499")), "{canceled}");
    assert!(platform.get("web", "/").await?.status().is_success());
    platform.stop().await
}
