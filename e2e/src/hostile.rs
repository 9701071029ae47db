//! The image of `examples/hostile`, and the results of its attacks.

use std::collections::BTreeMap;

use anyhow::ensure;

use crate::{Folder, Platform, tools};

/// Pushes it as `hostile:v1` into the platform's registry, with root as its user.
pub async fn push(platform: &Platform) -> anyhow::Result<()> {
    push_as(platform, "0:0").await
}

/// Pushes it with another user.
pub async fn push_as(platform: &Platform, user: &str) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    folder.copy(&tools::hostile(), "hostile")?;
    // An image file that only root may write.
    folder.write("etc/image", b"of the image")?;
    let folder = folder.path().display().to_string();
    let push = ["push", "--from-dir", &folder, "--entrypoint", "/hostile", "--user", user, "hostile:v1"];
    tools::run_ok(&mut platform.cli(&push)).await.map(drop)
}

/// Runs an attack in a function's instance, and returns its report.
pub async fn attack(platform: &Platform, function: &str, path: &str) -> anyhow::Result<String> {
    let answer = platform.get(function, path).await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{function}{path} answers {status}: {text}");
    Ok(text)
}

/// The report of a resource exhaustion attack: the count reached, and the error number.
pub async fn bomb(platform: &Platform, function: &str, path: &str) -> anyhow::Result<(u64, i32)> {
    let text = attack(platform, function, path).await?;
    let numbers = text.split_once(' ').and_then(|(count, error)| Some((count.parse().ok()?, error.parse().ok()?)));
    numbers.ok_or_else(|| anyhow::anyhow!("{function}{path} says {text}"))
}

/// The result of every system call, by name.
pub async fn calls(platform: &Platform, function: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let text = attack(platform, function, "/calls").await?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).collect())
}
