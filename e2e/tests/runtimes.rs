//! Functions in other OCI runtimes: called in the same way, displayed with their runtime, and
//! removed when the platform is killed.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, leftovers, tools};
use serde_json::json;

/// Debian's runtimes that the tests install.
const RUNTIMES: [&str; 2] = ["runc", "crun"];

fn processes(platform: &Platform) -> Vec<u32> {
    leftovers::processes(&platform.cgroup_name())
}

/// A function for each runtime, and one with Sampan's own launcher.
async fn with_functions() -> anyhow::Result<Platform> {
    let platform = Platform::start_with(&[("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", "[runc,crun]")]).await?;
    platform.push_hello().await?;
    for name in RUNTIMES {
        platform.deploy(name, "hello:v1", &["--memory", "128", "--runtime", name]).await?;
    }
    platform.deploy("own", "hello:v1", &["--memory", "128"]).await?;
    Ok(platform)
}

#[tokio::test]
async fn functions_of_each_runtime_work_and_leave_nothing_after_a_kill() -> anyhow::Result<()> {
    let mut platform = with_functions().await?;
    for name in RUNTIMES.into_iter().chain(["own"]) {
        let answer = platform.get(name, "/").await?;
        assert_eq!(answer.status(), 200, "{name}");
        assert!(answer.text().await?.contains("hello from Sampan"), "{name}");
        let shown = platform.api.call("GetFunction", json!({"FunctionName": name})).await?;
        let class = if name == "own" { "sampan" } else { name };
        assert_eq!(shown["RuntimeClass"], class);
    }
    let before = processes(&platform);
    assert!(before.len() >= 5, "a runtime stays beside each of its two programs: {before:?}");
    platform.kill().await?;
    let platform = platform.restart().await?;
    let now = processes(&platform);
    assert!(before.iter().all(|pid| !now.contains(pid)), "{before:?} {now:?}");
    assert_eq!(platform.get("runc", "/").await?.status(), 200);
    platform.stop().await
}

#[tokio::test]
async fn exits_and_oom_kills_in_a_runtime_have_the_usual_status() -> anyhow::Result<()> {
    let platform = with_functions().await?;
    for name in RUNTIMES {
        assert_eq!(platform.get(name, "/exit?3").await?.status(), 439, "{name}");
        assert_eq!(platform.get(name, "/alloc?400").await?.status(), 434, "{name}");
        assert_eq!(platform.get(name, "/").await?.status(), 200, "{name}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_disallowed_runtime_is_refused_with_the_allowed_ones() -> anyhow::Result<()> {
    let platform = with_functions().await?;
    let wild = ["deploy", "wild", "--image", "hello:v1", "--memory", "128", "--runtime", "runsc"];
    let refused = tools::run(&mut platform.cli(&wild)).await?;
    assert!(!refused.ok, "{}", refused.stdout);
    assert!(refused.stderr.contains("runsc") && refused.stderr.contains("sampan, runc, crun"), "{}", refused.stderr);
    let refused = tools::output(&mut platform.cli(&["deploy", "own", "--runtime", "runc"])).await?;
    assert!(!refused.status.success());
    platform.stop().await
}
