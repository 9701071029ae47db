//! Errors for gateway addresses without a callable function, and protocols that calls may use.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools, wait};
use serde_json::{Value, json};

/// Status, `statusCode` and message of the platform's error response.
async fn refused(platform: &Platform, path: &str) -> anyhow::Result<(u16, u64, String)> {
    let answer = platform.http.get(format!("{}{path}", platform.gateway)).send().await?;
    let (status, run_status) = (answer.status().as_u16(), answer.headers().get("x-scf-status").cloned());
    let body: Value = answer.json().await?;
    let code = body["statusCode"].as_u64().unwrap_or_default();
    assert_eq!(run_status.and_then(|value| value.to_str().ok()?.parse().ok()), Some(code), "{path}: {body}");
    Ok((status, code, body["errorMessage"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn an_unknown_function_is_named() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    for (path, status, code, named) in [
        ("/", 404, 435, "/fn/<namespace>/<function>/"),
        ("/fn/default/nobody/", 404, 435, "default/nobody"),
        ("/fn/nowhere/web/", 404, 435, "nowhere/web"),
        ("/fn/default/web:7/", 404, 442, "7"),
        ("/fn/default/event:none/", 404, 442, "none"),
    ] {
        let (got, run, message) = refused(&platform, path).await?;
        assert_eq!((got, run), (status, code), "{path}: {message}");
        assert!(message.contains(named), "{path}: {message}");
    }
    platform.stop().await
}

#[tokio::test]
async fn calls_to_an_inactive_function_return_its_state() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let image = format!("{}/missing:v1", platform.registry());
    let code = json!({"ImageConfig": {"ImageType": "personal", "ImageUri": image}});
    platform.api.call("CreateFunction", json!({"FunctionName": "failed", "Type": "HTTP", "Code": code})).await?;
    wait::until("the creation fails", || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": "failed"})).await?;
        Ok((found["Status"] == "CreateFailed").then_some(()))
    })
    .await?;
    let (status, code, message) = refused(&platform, "/fn/default/failed/").await?;
    assert_eq!((status, code), (438, 438), "{message}");
    assert!(message.contains("CreateFailed"), "{message}");
    platform.stop().await
}

#[tokio::test]
async fn a_function_is_called_in_every_version_of_http_that_curl_speaks() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    let url = platform.url("web", "/echo");
    for (flag, version) in [("--http1.0", "1"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let large = "x".repeat(100_000);
        let mut curl = tools::command("curl");
        curl.args(["-sS", flag, "--data-binary", &large, "-w", "\n%{http_version} %{http_code}", &url]);
        let said = tools::run_ok(&mut curl).await?;
        let (body, told) = said.rsplit_once('\n').unwrap_or_default();
        assert_eq!((body.len(), told), (large.len(), format!("{version} 200").as_str()), "{flag}");
    }
    platform.stop().await
}
