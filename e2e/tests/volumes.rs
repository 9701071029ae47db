//! Volumes: files that outlive instances, are shared, and give no access to other files.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use e2e::{Platform, hostile, tools, wait};
use tempfile::TempDir;

/// Starts on a machine with a load of 20 take long.
const FLAGS: &[&str] = &["--timeout", "30"];

/// A platform with `[volumes] roots`, and that directory.
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

/// As [`platform`], with the hostile image and further settings.
async fn platform_with(env: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    hostile::push(&platform).await?;
    Ok(platform)
}

/// Deploys a function of the hostile image, whose instance is kept.
async fn deploy_hostile(platform: &Platform, function: &str, flags: &[&str]) -> anyhow::Result<()> {
    let flags = [&["--memory", "256", "--timeout", "90"], flags].concat();
    platform.deploy(function, "hostile:v1", &flags).await.map(drop)
}

/// The error of a `sampan volume` command that must fail.
async fn refused(platform: &Platform, args: &[&str]) -> anyhow::Result<String> {
    let run = tools::run(&mut platform.cli(&[&["volume"], args].concat())).await?;
    anyhow::ensure!(!run.ok, "{args:?} was taken: {}", run.stdout);
    Ok(run.stderr)
}

fn number(value: &serde_json::Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

/// Report of a full file system: 0 MB written, ENOSPC.
const FULL: &str = "0 28";
const TRY_AGAIN: &str = "11";

#[tokio::test]
async fn an_image_is_full_at_its_size_and_grows_under_the_functions_that_share_it() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    volume(&platform, &["create", "disk", "--kind", "image", "--size", "32m"]).await?;
    deploy_hostile(&platform, "one", &["--mount", "disk:/d"]).await?;
    deploy_hostile(&platform, "two", &["--mount", "disk:/e"]).await?;
    let filled = hostile::attack(&platform, "one", "/spread?/d:text").await?;
    let written: u64 = filled.split(' ').next().and_then(|mb| mb.parse().ok()).context("a number")?;
    assert!((16..32).contains(&written), "{filled}");
    // The volume is full for every function that shares it; other file systems are not.
    assert_eq!(hostile::attack(&platform, "two", "/fill?/e").await?, FULL);
    assert_eq!(hostile::attack(&platform, "two", "/put?/tmp/more:text").await?, "0");
    let usage = volume(&platform, &["usage", "disk"]).await?;
    assert!(number(&usage, "bytes") >= written << 20 && number(&usage, "free_bytes") < 1 << 20, "{usage}");
    assert!((16 << 20..32 << 20).contains(&number(&usage, "size_bytes")), "{usage}");
    for size in ["32m", "16m"] {
        let said = refused(&platform, &["grow", "disk", "--size", size]).await?;
        assert!(said.contains("an image never shrinks"), "{said}");
    }
    let grown = volume(&platform, &["grow", "disk", "--size", "96m"]).await?;
    // Where the kernel cannot grow the mounted file system, the platform's next start does.
    let platform = if grown["now"] == true { platform } else { platform.kill_and_restart().await? };
    assert_eq!(hostile::attack(&platform, "two", "/put?/e/more:text").await?, "0");
    assert_eq!(hostile::attack(&platform, "one", "/read?/d/more").await?, "text");
    let usage = volume(&platform, &["usage", "disk"]).await?;
    assert!(number(&usage, "size_bytes") > 64 << 20 && number(&usage, "free_bytes") > 32 << 20, "{usage}");
    let said = refused(&platform, &["delete", "disk"]).await?;
    assert!(said.contains("mount the volume disk"), "{said}");
    platform.stop().await
}

#[tokio::test]
async fn a_kill_while_an_image_is_made_or_grows_loses_nothing() -> anyhow::Result<()> {
    let mut platform = platform_with(&[]).await?;
    volume(&platform, &["create", "kept", "--kind", "image", "--size", "32m"]).await?;
    deploy_hostile(&platform, "one", &["--mount", "kept:/d"]).await?;
    assert_eq!(hostile::attack(&platform, "one", "/put?/d/file:text").await?, "0");
    for round in 1..=3_u64 {
        let images = platform.data_dir().join("volumes/images");
        let size = format!("{}m", 32 + 32 * round);
        let is_larger = || fs::metadata(images.join("kept")).is_ok_and(|meta| meta.len() > (32 * round) << 20);
        let begin = |args: &[&str]| platform.cli(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut making = begin(&["volume", "create", "new", "--kind", "image", "--size", "64m"])?;
        let mut growing = begin(&["volume", "grow", "kept", "--size", &size])?;
        let is_made = || fs::read_dir(&images).is_ok_and(|images| images.count() > 1);
        let begun = async || Ok((is_larger() && is_made()).then_some(()));
        wait::until("the image grows, and another is made", begun).await?;
        platform.kill().await?;
        making.wait().await?;
        growing.wait().await?;
        platform = platform.restart().await?;
        let list = volume(&platform, &["list"]).await?;
        let volumes = list["volumes"].as_array().context("a list")?;
        assert!(volumes.iter().all(|volume| volume["problem"].is_null()), "{list}");
        let kept = volumes.iter().find(|volume| volume["name"] == "kept").context("kept")?;
        assert_eq!(number(kept, "size_mb"), 32 + 32 * round);
        if volumes.iter().any(|volume| volume["name"] == "new") {
            volume(&platform, &["delete", "new"]).await?;
        }
        assert_eq!(fs::read_dir(&images)?.count(), 1, "half of an image is left");
        assert_eq!(hostile::attack(&platform, "one", "/read?/d/file").await?, "text");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_volume_in_memory_is_shared_bounded_and_counted_and_ends_with_the_platform() -> anyhow::Result<()> {
    let platform = platform_with(&[("SAMPAN_POOL__MEMORY_MB_MAX", "1024")]).await?;
    for (size, why) in [("900m", "[pool] memory_mb_max"), ("2g", "[pool] memory_mb_max")] {
        let said = refused(&platform, &["create", "memory", "--kind", "tmpfs", "--size", size]).await?;
        assert!(said.contains(why), "{said}");
    }
    volume(&platform, &["create", "memory", "--kind", "tmpfs", "--size", "512m"]).await?;
    deploy_hostile(&platform, "one", &["--mount", "memory:/d"]).await?;
    deploy_hostile(&platform, "two", &["--mount", "memory:/d"]).await?;
    assert_eq!(hostile::attack(&platform, "one", "/put?/d/file:text").await?, "0");
    assert_eq!(hostile::attack(&platform, "two", "/read?/d/file").await?, "text");
    let mounts = hostile::attack(&platform, "two", "/read?/proc/self/mountinfo").await?;
    assert!(mounts.lines().any(|line| line.contains(" /d ") && line.contains("size=524288k")), "{mounts}");
    // The volume occupies 512 of 1024 MB; the rest is available to functions.
    let account = platform.api.call("GetAccount", serde_json::json!({})).await?;
    let total = &account["AccountUsage"]["TotalConcurrencyMem"];
    assert_eq!(total.as_u64(), Some(512), "{account}");
    deploy_hostile(&platform, "one", &["--env", "A=b"]).await?;
    assert_eq!(hostile::attack(&platform, "one", "/read?/d/file").await?, "text", "it outlives instances");
    let platform = platform.kill_and_restart().await?;
    assert_eq!(hostile::attack(&platform, "one", "/read?/d/file").await?, "error 2", "and not the platform");
    assert_eq!(hostile::attack(&platform, "one", "/put?/d/file:text").await?, "0");
    platform.stop().await
}

#[tokio::test]
async fn locks_and_watches_work_between_instances() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    volume(&platform, &["create", "data"]).await?;
    for function in ["one", "two"] {
        deploy_hostile(&platform, function, &["--mount", "data:/d"]).await?;
    }
    for kind in ["flock", "fcntl"] {
        let path = format!("/lock?{kind}:/d/{kind}");
        assert_eq!(hostile::attack(&platform, "one", &path).await?, "0", "{kind}");
        assert_eq!(hostile::attack(&platform, "two", &path).await?, TRY_AGAIN, "{kind}: the other has it");
    }
    let made = volume(&platform, &["list"]).await?;
    let path = PathBuf::from(made["volumes"][0]["path"].as_str().context("it has a path")?);
    let watching = async || Ok(path.join("watching").exists().then_some(()));
    let put = async || {
        wait::until("the watch has begun", watching).await?;
        hostile::attack(&platform, "two", "/put?/d/new:text").await
    };
    let (seen, put) = tokio::join!(hostile::attack(&platform, "one", "/watch?/d"), put());
    assert_eq!((seen?, put?), ("new".to_owned(), "0".to_owned()));
    // The locks of an instance end with it.
    tools::run_ok(&mut platform.cli(&["delete", "one"])).await?;
    for kind in ["flock", "fcntl"] {
        let free = async || {
            let got = hostile::attack(&platform, "two", &format!("/lock?{kind}:/d/{kind}")).await?;
            Ok((got == "0").then_some(()))
        };
        wait::until("the lock is free", free).await?;
    }
    platform.stop().await
}

#[tokio::test]
async fn a_file_system_without_mapped_ids_is_named_at_deploy_and_by_the_doctor() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for name in ["root/merged", "lower", "upper", "work"] {
        fs::create_dir_all(at(name))?;
    }
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| at(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let merged = at("root/merged");
    let mut mount = tools::command("mount");
    tools::run_ok(mount.args(["-t", "overlay", "none", "-o", &options]).arg(&merged)).await?;
    let tried = without_mapped_ids(&merged).await;
    tools::run_ok(tools::command("umount").args(["-l"]).arg(&merged)).await?;
    tried
}

async fn without_mapped_ids(merged: &Path) -> anyhow::Result<()> {
    // Simulates a server that maps all files to one user.
    fs::set_permissions(merged, fs::Permissions::from_mode(0o777))?;
    let path = merged.display().to_string();
    let settings = tempfile::NamedTempFile::new()?;
    let text = format!(
        "[volumes]\nroots = [\"{path}\"]\n[volumes.plain]\npath = \"{path}\"\n[volumes.squashed]\npath = \"{path}\"\n\
         squash = true\n"
    );
    fs::write(settings.path(), text)?;
    let file = settings.path().display().to_string();
    let env = [("SAMPAN_CONFIG", file.as_str())];
    let platform = platform_with(&env).await?;
    let args = ["deploy", "one", "--image", "hostile:v1", "--mount", "plain:/d"];
    let run = tools::run(&mut platform.cli(&args)).await?;
    let says = |text: &str| text.contains("overlay") && text.contains("squash = true") && text.contains(&path);
    assert!(!run.ok && says(&run.stderr), "{}", run.stderr);
    deploy_hostile(&platform, "one", &["--mount", "squashed:/d"]).await?;
    assert_eq!(hostile::attack(&platform, "one", "/put?/d/file:text").await?, "0");
    assert_eq!(fs::read_to_string(merged.join("file"))?, "text");
    let mut doctor = tools::command(&tools::sampan().display().to_string());
    doctor.args(["doctor", "--data-dir"]).arg(platform.data_dir()).envs(env);
    let said = tools::run(&mut doctor).await?.stdout;
    let line = said.lines().find(|line| line.starts_with("volumes")).unwrap_or_default();
    assert!(says(line) && line.contains("[volumes.plain]") && !line.contains("[volumes.squashed]"), "{said}");
    platform.stop().await
}
