//! Secrets: values that functions get when they start and that are nowhere else in clear.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::ensure;
use e2e::Platform;
use serde_json::{Value, json};

/// Gives a secret a value, from a file that is gone afterwards.
async fn set(platform: &Platform, name: &str, value: &str, flags: &[&str]) -> anyhow::Result<Value> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), value)?;
    let file = file.path().display().to_string();
    platform.cli_json(&[&["secret", "set", name, "--file", &file], flags].concat()).await
}

async fn body(platform: &Platform, function: &str, path: &str) -> anyhow::Result<String> {
    let answer = platform.get(function, path).await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(text)
}

#[tokio::test]
async fn a_secret_is_a_variable_of_instances_and_shown_nowhere() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let refused = platform.deploy("web", "hello:v1", &["--secret", "DB_PASSWORD=db"]).await.expect_err("not there");
    ensure!(format!("{refused:#}").contains("sampan secret set"), "{refused:#}");
    let value = "s3cr3t-word$of the database";
    assert_eq!(set(&platform, "db", value, &[]).await?, json!({"version": 1, "restarted": 0}));
    let url = "URL=postgres://app:{{secret:db@1}}@db/app";
    platform.deploy("web", "hello:v1", &["--secret", "DB_PASSWORD=db", "--env", url]).await?;
    assert_eq!(body(&platform, "web", "/env?DB_PASSWORD").await?, value);
    assert_eq!(body(&platform, "web", "/env?URL").await?, format!("postgres://app:{value}@db/app"));
    let shown = platform.cli_json(&["get", "web"]).await?.to_string();
    ensure!(shown.contains("{{secret:db}}") && !shown.contains("s3cr3t-word"), "{shown}");
    let platform = platform.kill_and_restart().await?;
    assert_eq!(body(&platform, "web", "/env?DB_PASSWORD").await?, value, "after a restart");
    e2e::secrecy::ensure_hidden(&platform, &["s3cr3t-word"])?;
    platform.stop().await
}
