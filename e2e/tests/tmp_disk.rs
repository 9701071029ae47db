//! `/tmp` on disk: larger than the memory, bounded, and removed with its instance.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::Path;

use e2e::{Platform, hostile, tools, wait};

const FLAGS: &[&str] = &["--memory", "128", "--timeout", "60"];
const MARKER: &str = "what-a-former-instance-wrote";

async fn platform(env: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    hostile::push(&platform).await?;
    Ok(platform)
}

async fn deploy(platform: &Platform, function: &str, flags: &[&str]) -> anyhow::Result<()> {
    platform.deploy(function, "hostile:v1", &[FLAGS, flags].concat()).await.map(drop)
}

/// The two numbers in a report.
async fn numbers(platform: &Platform, function: &str, path: &str) -> anyhow::Result<(u64, u64)> {
    let text = hostile::attack(platform, function, path).await?;
    let numbers = text.split_once(' ').and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
    numbers.ok_or_else(|| anyhow::anyhow!("{path} says {text}"))
}

/// Number of block devices backed by files of the data directory.
fn devices(data_dir: &Path) -> usize {
    let folder = data_dir.display().to_string();
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let file = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    entries.filter_map(file).filter(|file| file.contains(&folder)).count()
}

/// Ends the function's instances, and calls it until a new one answers.
async fn end_instance(platform: &Platform, function: &str) -> anyhow::Result<()> {
    platform.cli_json(&["deploy", function, "--env", &format!("AT={}", now())]).await?;
    Ok(())
}

fn now() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos()
}

#[tokio::test]
async fn a_tmp_on_disk_is_larger_than_the_memory_and_ends_at_its_size() -> anyhow::Result<()> {
    let platform = platform(&[]).await?;
    deploy(&platform, "disk", &["--tmp", "300m"]).await?;
    let (written, synced) = numbers(&platform, "disk", &format!("/spread?/tmp:{MARKER}")).await?;
    assert!((200..300).contains(&written) && synced == 0, "{written} MB, then {synced}");
    let mounts = hostile::attack(&platform, "disk", "/read?/proc/self/mountinfo").await?;
    let line = mounts.lines().find(|line| line.contains(" /tmp ")).unwrap_or_default();
    assert!(line.contains("nosuid") && line.contains("nodev") && line.contains("- ext4"), "{mounts}");
    // Only this instance's `/tmp` is full.
    assert_eq!(hostile::attack(&platform, "disk", "/fill?/tmp").await?, "0 28");
    assert_eq!(hostile::attack(&platform, "disk", "/put?/more:text").await?, "0");
    assert!(!hostile::attack(&platform, "disk", "/list?/tmp").await?.contains("lost+found"));
    platform.push_hello().await?;
    platform.deploy("beside", "hello:v1", &["--tmp", "64m"]).await?;
    assert!(platform.get("beside", "/write?/tmp/file:8").await?.status().is_success());
    let shown = tools::run_ok(&mut platform.cli(&["get", "disk"])).await?;
    assert!(shown.lines().any(|line| line.starts_with("tmp MB") && line.ends_with(" 300")), "{shown}");
    // The function returns to `/tmp` in memory.
    platform.cli_json(&["deploy", "disk", "--tmp", "0"]).await?;
    let mounts = hostile::attack(&platform, "disk", "/read?/proc/self/mountinfo").await?;
    assert!(mounts.lines().any(|line| line.contains(" /tmp ") && line.contains("- tmpfs")), "{mounts}");
    platform.stop().await
}

#[tokio::test]
async fn no_byte_of_a_former_instance_is_read() -> anyhow::Result<()> {
    let platform = platform(&[]).await?;
    deploy(&platform, "one", &["--tmp", "64m"]).await?;
    for _ in 0..3 {
        let (taken, found) = numbers(&platform, "one", "/scavenge?/tmp").await?;
        assert!(taken > 40 && found == 0, "{found} bytes of others in {taken} MB");
        end_instance(&platform, "one").await?;
        let (written, _) = numbers(&platform, "one", &format!("/spread?/tmp:{MARKER}")).await?;
        assert!(written > 40, "{written}");
        end_instance(&platform, "one").await?;
    }
    platform.stop().await
}

#[tokio::test]
async fn the_operator_bounds_it_and_is_named() -> anyhow::Result<()> {
    let bounds = [("SAMPAN_VOLUMES__TMP_MB_MAX", "100"), ("SAMPAN_VOLUMES__TMP_ALL_MB_MAX", "120")];
    let platform = platform(&bounds).await?;
    let deploy_large = ["deploy", "one", "--image", "hostile:v1", "--tmp", "101m"];
    let refused = tools::run(&mut platform.cli(&deploy_large)).await?;
    assert!(!refused.ok && refused.stderr.contains("[volumes] tmp_mb_max"), "{}", refused.stderr);
    deploy(&platform, "one", &["--tmp", "100m"]).await?;
    hostile::attack(&platform, "one", "/put?/tmp/there:text").await?;
    // A start that exceeds the machine's space fails with a remedy, and other functions continue.
    let two = ["deploy", "two", "--image", "hostile:v1", "--timeout", "60", "--tmp", "64m", "--no-start-check"];
    tools::run_ok(&mut platform.cli(&two)).await?;
    let answer = platform.get("two", "/").await?;
    assert!(!answer.status().is_success());
    let logs = async || {
        let said = tools::run_ok(&mut platform.cli(&["logs", "two", "--limit", "50"])).await?;
        Ok(said.contains("[volumes] tmp_all_mb_max").then_some(()))
    };
    wait::until("the function's log names the setting", logs).await?;
    assert_eq!(hostile::attack(&platform, "one", "/read?/tmp/there").await?, "text");
    platform.stop().await
}

#[tokio::test]
async fn a_kill_leaves_no_disk() -> anyhow::Result<()> {
    let platform = platform(&[]).await?;
    deploy(&platform, "one", &["--tmp", "64m"]).await?;
    numbers(&platform, "one", &format!("/spread?/tmp:{MARKER}")).await?;
    assert!(devices(&platform.data_dir()) > 0);
    let mut platform = platform;
    platform.kill().await?;
    let data_dir = platform.data_dir();
    wait::until("the kernel has freed them", async || Ok((devices(&data_dir) == 0).then_some(()))).await?;
    let platform = platform.restart().await?;
    assert_eq!(std::fs::read_dir(data_dir.join("volumes/tmp"))?.count(), 0);
    let (taken, found) = numbers(&platform, "one", "/scavenge?/tmp").await?;
    assert!(taken > 40 && found == 0, "{found} bytes of others in {taken} MB");
    platform.stop().await?;
    Ok(())
}
