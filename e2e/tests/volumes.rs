//! Volumes: files that outlive instances, are shared, and lead nowhere else.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Context;
use e2e::Platform;
use tempfile::TempDir;

/// Starts of a machine with a load of 20 take long.
const FLAGS: &[&str] = &["--timeout", "30"];

/// A platform with `[volumes] roots`, and the directory.
async fn platform() -> anyhow::Result<(Platform, TempDir)> {
    let root = tempfile::tempdir()?;
    let roots = format!("[\"{}\"]", root.path().display());
    let platform = Platform::start_with(&[("SAMPAN_VOLUMES__ROOTS", &roots)]).await?;
    platform.push_hello().await?;
    Ok((platform, root))
}

async fn body(platform: &Platform, function: &str, path: &str) -> anyhow::Result<String> {
    let answer = platform.get(function, path).await?;
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(text)
}

async fn deploy(platform: &Platform, function: &str, mount: &str) -> anyhow::Result<()> {
    platform.deploy(function, "hello:v1", &[FLAGS, &["--mount", mount]].concat()).await?;
    Ok(())
}

async fn volume(platform: &Platform, args: &[&str]) -> anyhow::Result<serde_json::Value> {
    platform.cli_json(&[&["volume"], args].concat()).await
}

#[tokio::test]
async fn files_of_a_volume_outlive_redeploys_restarts_and_kills_and_two_functions_share_them() -> anyhow::Result<()> {
    let (platform, _root) = platform().await?;
    let made = volume(&platform, &["create", "data"]).await?;
    let path = PathBuf::from(made["path"].as_str().context("it has a path")?);
    deploy(&platform, "one", "data:/srv/data").await?;
    body(&platform, "one", "/write?/srv/data/kept:1").await?;
    let kept = fs::metadata(path.join("kept"))?;
    assert_eq!((kept.uid(), kept.gid()), (10_000, 10_000));
    platform.deploy("one", "hello:v1", &["--env", "A=b"]).await?;
    let read = body(&platform, "one", "/read?/srv/data/kept").await?;
    deploy(&platform, "two", "data:/elsewhere:ro").await?;
    assert_eq!(body(&platform, "two", "/read?/elsewhere/kept").await?, read);
    assert!(body(&platform, "two", "/write?/elsewhere/new:1").await.is_err());
    let platform = platform.kill_and_restart().await?;
    assert_eq!(body(&platform, "one", "/read?/srv/data/kept").await?, read);
    let platform = platform.restart().await?;
    assert_eq!(body(&platform, "two", "/read?/elsewhere/kept").await?, read);
    platform.stop().await
}
