//! gRPC calls of the official client to a real server: unary, streaming, trailers, failures.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, flask, tools};

async fn with_calls(extra: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    let archive = flask::archive().await?.display().to_string();
    tools::run_ok(&mut platform.cli(&["push", &archive, "calls:v1"])).await?;
    let server = ["--memory", "256", "--command", "python3", "--args", "/srv/calls.py", "--concurrency", "100"];
    platform.deploy("calls", "calls:v1", &[&server[..], &["--timeout", "30"], extra].concat()).await?;
    Ok(platform)
}

#[tokio::test]
async fn every_kind_of_call_passes_with_trailers_and_errors() -> anyhow::Result<()> {
    let platform = with_calls(&[]).await?;
    let gateway = platform.gateway.trim_start_matches("http://").to_owned();
    let mut client = tools::command(&tools::python().display().to_string());
    client.arg(tools::workspace().join("e2e/clients/grpc_client.py")).args([&gateway, "calls.default.fn.localhost"]);
    assert_eq!(tools::run_ok(&mut client).await?.trim(), "ok");
    platform.stop().await
}

#[tokio::test]
async fn a_platform_error_is_a_grpc_status() -> anyhow::Result<()> {
    let platform = with_calls(&[]).await?;
    platform.cli_json(&["quota", "calls", "--reserved", "0"]).await?;
    let url = platform.url("calls", "/echo.Echo/Unary");
    let answer = platform.http.post(url).header("content-type", "application/grpc").send().await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    assert!(answer.headers()["grpc-message"].to_str()?.contains("reserved quota 0 MB"));
    platform.stop().await
}
