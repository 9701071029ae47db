//! `kill -9` at arbitrary times: acknowledged changes survive, and no process keeps running.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::Duration;

use e2e::kill_storm::{Storm, run};
use e2e::{Platform, leftovers, wait};
use serde_json::json;

/// Enough kills to interrupt every kind of operation; `cargo xtask storm` makes a thousand.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_storm_of_kills_loses_no_acknowledged_change() -> anyhow::Result<()> {
    let found = run(Storm { kills: 12, time_max: Duration::from_secs(150) }, |_| {}).await?;
    assert!(found.is_well(), "{found:#?}");
    assert!(found.kills > 3 && found.acknowledged > 10, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn functions_images_and_logs_survive_a_kill_and_instances_do_not() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    platform.deploy("event", "hello:v1", &["--type", "event"]).await?;
    assert!(platform.get("web", "/").await?.status().is_success());
    let result = platform.api.invoke("event", &json!({"n": 1})).await?;
    let request_id = result["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
    platform.api.log_of("event", &request_id).await?;
    let cgroup = platform.cgroup_name();
    let before = leftovers::processes(&cgroup);
    assert!(!before.is_empty(), "instances run in the platform's cgroup");

    platform.kill().await?;
    let platform = platform.restart().await?;
    for pid in before {
        assert!(!leftovers::processes(&cgroup).contains(&pid), "instance process {pid} outlived the restart");
    }
    assert!(platform.get("web", "/").await?.status().is_success());
    assert_eq!(platform.api.invoke("event", &json!({})).await?["InvokeResult"], 0);
    let log = platform.api.log_of("event", &request_id).await?;
    assert!(log["Log"].as_str().is_some_and(|text| text.contains("END RequestId")), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn an_interrupted_deploy_is_finished_after_a_restart() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    let code =
        json!({"ImageConfig": {"ImageType": "personal", "ImageUri": format!("{}/hello:v1", platform.registry())}});
    for number in 0..8 {
        platform
            .api
            .call("CreateFunction", json!({"FunctionName": format!("f{number}"), "Type": "HTTP", "Code": code}))
            .await?;
    }
    platform.kill().await?;
    let platform = platform.restart().await?;
    for number in 0..8 {
        let name = format!("f{number}");
        platform.api.wait_status(&name, &["Active"]).await?;
        assert!(platform.get(&name, "/").await?.status().is_success());
    }
    platform.stop().await
}

#[tokio::test]
async fn a_kill_during_starts_leaves_no_process() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--timeout", "60"]).await?;
    let cgroup = platform.cgroup_name();
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let request = platform.http.get(platform.url("web", "/sleep?30000"));
            tokio::spawn(async move { request.send().await.is_ok() })
        })
        .collect();
    wait::until("several instances run", || async { Ok((leftovers::processes(&cgroup).len() >= 3).then_some(())) })
        .await?;
    platform.kill().await?;
    for call in calls {
        assert!(!call.await?, "a call ended well though the platform was killed");
    }
    let platform = platform.restart().await?;
    assert_eq!(leftovers::processes(&cgroup), Vec::<u32>::new());
    assert!(platform.get("web", "/").await?.status().is_success());
    platform.stop().await
}
