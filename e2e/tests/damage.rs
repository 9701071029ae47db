//! Damage on disk: detected, never served, and repaired by the platform, a deploy or a push.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use e2e::images::{Folder, hello_folder};
use e2e::{Platform, tools, wait};
use serde_json::Value;

/// Flips one bit in the middle of a file.
fn flip(path: &Path) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let (middle, mut byte) = (file.metadata()?.len() / 2, [0]);
    file.read_exact_at(&mut byte, middle)?;
    byte[0] ^= 1;
    file.write_all_at(&byte, middle)?;
    Ok(())
}

/// The largest file below a directory whose name begins with `name`.
fn largest(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let (path, meta) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            if meta.is_dir() {
                dirs.push(path);
            } else if path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
                found.push((meta.len(), path));
            }
        }
    }
    found.sort();
    found.pop().map(|(_, path)| path).ok_or_else(|| anyhow::anyhow!("there is no {name} below {}", dir.display()))
}

async fn scrub(platform: &Platform) -> anyhow::Result<(bool, Value, String)> {
    let said = tools::run(platform.cli(&["scrub"]).args(["--output", "json"])).await?;
    Ok((said.ok, serde_json::from_str(&said.stdout)?, said.stderr))
}

async fn answers(platform: &Platform, function: &str) -> anyhow::Result<()> {
    wait::until("the function answers", || async {
        let response = platform.get(function, "/").await?;
        Ok(response.status().is_success().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_scrub_detects_a_flipped_bit_and_the_image_is_rebuilt() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    let (sound, report, _) = scrub(&platform).await?;
    assert!(sound && report["found_total"] == 0 && report["items"] == report["items_total"], "{report}");
    let images = platform.data_dir().join("images");
    flip(&largest(&images.join("layers"), "layer.tar")?)?;
    let (sound, report, error) = scrub(&platform).await?;
    assert!(!sound && error.contains("1 damaged"), "{report} {error}");
    let found = &report["found"][0];
    assert_eq!((&found["kind"], &found["healed"]), (&"layer".into(), &true.into()), "{report}");
    assert_eq!(found["needed_by"][0], "function default/hello $LATEST", "{report}");
    answers(&platform, "hello").await?;
    let (sound, report, _) = scrub(&platform).await?;
    assert!(sound, "{report}");
    platform.stop().await
}

#[tokio::test]
async fn a_push_repairs_damaged_blobs_of_the_registry() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    // One folder for both: file times are part of the layer.
    let hello = hello_folder()?;
    let push = || platform.push_folder(hello.path(), &["/hello"], "hello:v1");
    push().await?;
    let blobs = platform.data_dir().join("images/blobs");
    let blob = largest(&blobs, "")?;
    flip(&blob)?;
    // A push detects it without a scrub.
    push().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    answers(&platform, "hello").await?;
    flip(&blob)?;
    let said = tools::run(&mut platform.cli(&["scrub"])).await?;
    assert!(!said.ok && said.stdout.contains("bad blob sha256:"), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("needed by repository hello"), "{}", said.stdout);
    assert!(!blob.exists());
    push().await?;
    assert!(scrub(&platform).await?.0);
    platform.stop().await
}

#[tokio::test]
async fn a_deploy_and_a_restart_repair_damage() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    let layers = platform.data_dir().join("images/layers");
    flip(&largest(&layers, "layer.tar")?)?;
    platform.deploy("again", "hello:v1", &[]).await?;
    answers(&platform, "again").await?;
    assert_eq!(fs::read_dir(platform.data_dir().join("images/damaged"))?.count(), 1);

    platform.kill().await?;
    let tar = largest(&layers, "layer.tar")?;
    fs::OpenOptions::new().write(true).open(&tar)?.set_len(tar.metadata()?.len() / 2)?;
    fs::remove_dir_all(platform.data_dir().join("images/pins"))?;
    let platform = platform.restart().await?;
    answers(&platform, "hello").await?;
    wait::until("pins are made again", || async {
        Ok((fs::read_dir(platform.data_dir().join("images/pins"))?.count() >= 2).then_some(()))
    })
    .await?;
    platform.stop().await
}

#[tokio::test]
async fn images_are_listed_and_untagged_ones_are_pruned() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let other: Folder = hello_folder()?;
    other.write("other", b"another image")?;
    platform.push_folder(other.path(), &["/hello"], "hello:v1").await?;
    let listed = platform.cli_json(&["images"]).await?;
    assert_eq!(listed["images"].as_array().map(Vec::len), Some(2), "{listed}");
    let untagged = platform.cli_json(&["images", "--untagged"]).await?;
    assert_eq!(untagged["images"].as_array().map(Vec::len), Some(1), "{untagged}");
    let before = platform.cli_json(&["images", "prune"]).await?;
    assert_eq!(before["images"].as_array().map(Vec::len), Some(0), "it is younger than an hour: {before}");
    let dry = platform.cli_json(&["images", "prune", "--older-than", "0s", "--dry-run"]).await?;
    assert_eq!(dry["images"].as_array().map(Vec::len), Some(1), "{dry}");
    let pruned = platform.cli_json(&["images", "prune", "--older-than", "0s"]).await?;
    assert!(pruned["freed_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{pruned}");
    assert_eq!((&dry["images"], &dry["freed_bytes"]), (&pruned["images"], &pruned["freed_bytes"]), "{dry}");
    let listed = platform.cli_json(&["images"]).await?;
    assert_eq!(listed["images"][0]["tags"][0], "v1", "{listed}");
    platform.deploy("hello", "hello:v1", &[]).await?;
    answers(&platform, "hello").await?;
    let wrong = platform.http.post(format!("{}/admin/images", platform.control)).body("{}").send().await?;
    assert_eq!(wrong.status(), 401);
    let said = tools::run(platform.cli(&["images", "prune", "--older-than", "7"]).args(["--output", "json"])).await?;
    assert!(!said.ok && said.stderr.contains("write 0s, 30m, 12h or 7d"), "{}", said.stderr);
    platform.stop().await
}
