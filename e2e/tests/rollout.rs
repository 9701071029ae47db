//! `sampan rollout` under load: a good version gets all traffic, a bad one none, and the switch
//! loses no call.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::{Platform, images, tools, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Keep-alive clients of the load.
const CLIENTS: usize = 4;
/// Exit code of a rollout that was rolled back.
const ROLLED_BACK: i32 = 6;
/// Path of the load: writes below a folder that good images have; other images answer 507.
const PATH: &str = "/write?/data/file:0";

/// Pushes an image that has the folder of [`PATH`] if `good`.
async fn push(platform: &Platform, image: &str, good: bool) -> anyhow::Result<()> {
    let folder = images::hello_folder()?;
    folder.write(if good { "data/kept" } else { "mark" }, image.as_bytes())?;
    platform.push_folder(folder.path(), &["/hello"], image).await
}

/// A function whose alias `prod` routes to version 1, which is good; version 2 has the given image.
async fn with_versions(second: &str, good: bool, flags: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    push(&platform, "web:one", true).await?;
    push(&platform, second, good).await?;
    let mut all = vec!["--concurrency", "4", "--memory", "512", "--timeout", "30", "--no-start-check"];
    platform.deploy("web", "web:one", &all).await?;
    platform.cli_json(&["publish", "web", "--alias", "prod"]).await?;
    all.extend(flags);
    platform.deploy("web", second, &all).await?;
    platform.cli_json(&["publish", "web"]).await?;
    Ok(platform)
}

/// Counts of results of calls.
#[derive(Default)]
struct Tally {
    good: AtomicUsize,
    bad: AtomicUsize,
}

/// Clients that call the alias until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Load {
    fn start(platform: &Platform, path: &str) -> Self {
        let (stop, tally): (Arc<AtomicBool>, Arc<Tally>) = Default::default();
        let clients = (0..CLIENTS)
            .map(|_| {
                let (http, url) = (platform.http.clone(), platform.url("web:prod", path));
                let (stop, tally) = (stop.clone(), tally.clone());
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let answer = http.get(&url).send().await?;
                        let ended = if answer.status().is_success() { &tally.good } else { &tally.bad };
                        answer.bytes().await?;
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        Self { stop, tally, clients }
    }

    fn good(&self) -> usize {
        self.tally.good.load(Ordering::Relaxed)
    }

    /// Stops the load; returns the numbers of successful and failed calls.
    async fn end(self) -> anyhow::Result<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await??;
        }
        Ok((self.tally.good.load(Ordering::Relaxed), self.tally.bad.load(Ordering::Relaxed)))
    }
}

const ROLLOUT: [&str; 8] = ["rollout", "web", "--alias", "prod", "--to", "2", "--output", "json"];

/// Runs a rollout to version 2; returns its exit code and output.
async fn rollout(platform: &Platform, flags: &[&str]) -> anyhow::Result<(Option<i32>, Value)> {
    let ended = tools::output(platform.cli(&ROLLOUT).args(flags)).await?;
    let text = String::from_utf8_lossy(&ended.stdout);
    let report = serde_json::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{error}: {text}{}", String::from_utf8_lossy(&ended.stderr)))?;
    Ok((ended.status.code(), report))
}

/// The alias's version, and the weight of another one.
async fn alias_target(platform: &Platform) -> anyhow::Result<(Value, usize)> {
    let alias = platform.api.call("GetAlias", json!({"FunctionName": "web", "Name": "prod"})).await?;
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_array().map_or(0, Vec::len);
    Ok((alias["FunctionVersion"].clone(), weights))
}

#[tokio::test]
async fn a_good_version_gets_all_traffic_without_failures() -> anyhow::Result<()> {
    let platform = with_versions("web:two", true, &[]).await?;
    let load = Load::start(&platform, PATH);
    let flags = ["--steps", "10,50,100", "--interval", "1s", "--max-p95", "30s", "--min-calls", "20"];
    let (code, report) = rollout(&platform, &flags).await?;
    assert_eq!((code, &report["outcome"]), (Some(0), &json!("done")), "{report}");
    let steps = report["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let percents: Vec<_> = steps.iter().map(|step| step["percent"].as_f64().unwrap_or_default()).collect();
    assert_eq!(percents, [10.0, 50.0, 100.0]);
    for step in steps {
        assert!(step["new"]["calls"].as_u64() >= Some(20), "{step}");
        assert_eq!((&step["outcome"], &step["new"]["errors"]), (&json!("passed"), &json!(0)), "{step}");
        assert!(step["new"]["p95_ms"].as_f64() > Some(0.0), "{step}");
    }
    assert!(steps[0]["old"]["calls"].as_u64() > steps[0]["new"]["calls"].as_u64(), "{report}");
    assert_eq!(alias_target(&platform).await?, (json!("2"), 0));
    let (good, bad) = load.end().await?;
    assert!(good > 0 && bad == 0, "{bad} of {good} calls failed");
    // A repeated rollout has no steps.
    let (code, report) = rollout(&platform, &flags).await?;
    assert_eq!((code, &report["outcome"], &report["steps"]), (Some(0), &json!("done"), &json!([])), "{report}");
    platform.stop().await
}

#[tokio::test]
async fn a_version_with_5xx_is_rolled_back_and_only_its_calls_fail() -> anyhow::Result<()> {
    let platform = with_versions("web:bad", false, &[]).await?;
    let load = Load::start(&platform, PATH);
    let (code, report) = rollout(&platform, &["--steps", "20,100", "--interval", "30s"]).await?;
    assert_eq!((code, &report["outcome"]), (Some(ROLLED_BACK), &json!("rolled_back")), "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("calls failed")), "{report}");
    let step = &report["steps"][0];
    assert_eq!((&step["outcome"], &step["old"]["errors"]), (&json!("given_up"), &json!(0)), "{step}");
    assert!(step["elapsed_ms"].as_u64() < Some(30_000), "errors are certain long before the end of a step: {step}");
    assert_eq!(alias_target(&platform).await?, (json!("1"), 0));
    let after = load.good();
    wait::until("calls after the rollback", || async { Ok((load.good() > after + 200).then_some(())) }).await?;
    let (_, bad) = load.end().await?;
    let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
    let of_two =
        format!(r#"sampan_http_errors_total{{function="web",namespace="default",version="2",class="5xx"}} {bad}"#);
    assert!(metrics.contains(&of_two), "{bad} calls failed, and not all of them in version 2: {metrics}");
    platform.stop().await
}

#[tokio::test]
async fn a_version_that_does_not_start_is_rolled_back() -> anyhow::Result<()> {
    let platform = with_versions("web:two", true, &["--command", "/missing"]).await?;
    let load = Load::start(&platform, PATH);
    let (code, report) = rollout(&platform, &["--steps", "20,100", "--interval", "30s"]).await?;
    assert_eq!((code, &report["outcome"]), (Some(ROLLED_BACK), &json!("rolled_back")), "{report}");
    assert_eq!((alias_target(&platform).await?, &report["from"]), ((json!("1"), 0), &json!("1")));
    load.end().await?;
    platform.stop().await
}

#[tokio::test]
async fn slow_or_idle_versions_and_interrupted_rollouts_are_rolled_back() -> anyhow::Result<()> {
    let platform = with_versions("web:two", true, &[]).await?;
    let few = ["--steps", "50", "--interval", "500ms", "--step-timeout", "1s"];
    let (code, report) = rollout(&platform, &few).await?;
    assert_eq!(code, Some(ROLLED_BACK), "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.starts_with("only 0 calls")), "{report}");
    let (code, report) = rollout(&platform, &["--steps", "50", "--interval", "500ms", "--min-calls", "0"]).await?;
    assert_eq!((code, alias_target(&platform).await?), (Some(0), (json!("1"), 1)), "the last step stays: {report}");

    let load = Load::start(&platform, "/sleep?20");
    let slow = ["--steps", "60,100", "--interval", "1s", "--max-p95", "10ms"];
    let (code, report) = rollout(&platform, &slow).await?;
    assert_eq!(code, Some(ROLLED_BACK), "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("the p95 is")), "{report}");
    assert!(report["steps"][0]["old"]["p95_ms"].as_f64() >= Some(20.0), "{report}");

    let child = platform.cli(&ROLLOUT).args(["--interval", "1h"]).stdout(std::process::Stdio::piped()).spawn()?;
    wait::until("the first step begins", || async {
        Ok((alias_target(&platform).await? == (json!("1"), 1)).then_some(()))
    })
    .await?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
    kill_process(pid, Signal::INT)?;
    let ended = tools::output_of(child).await?;
    let report: Value = serde_json::from_slice(&ended.stdout)?;
    assert_eq!(
        (ended.status.code(), &report["reason"]),
        (Some(ROLLED_BACK), &json!("SIGINT was received")),
        "{report}"
    );
    assert_eq!(alias_target(&platform).await?, (json!("1"), 0));
    let (_, bad) = load.end().await?;
    assert_eq!(bad, 0, "switching costs no call");
    platform.stop().await
}

#[tokio::test]
async fn a_concurrently_changed_alias_is_left_unchanged() -> anyhow::Result<()> {
    let platform = with_versions("web:two", true, &[]).await?;
    let mut command = platform.cli(&ROLLOUT);
    let args = ["--steps", "10,100", "--interval", "3s", "--min-calls", "0"];
    let child = command.args(args).stdout(std::process::Stdio::piped()).spawn()?;
    wait::until("the first step begins", || async {
        Ok((alias_target(&platform).await? == (json!("1"), 1)).then_some(()))
    })
    .await?;
    platform.cli_json(&["alias", "update", "web", "prod", "--version", "$LATEST"]).await?;
    let ended = tools::output_of(child).await?;
    let report: Value = serde_json::from_slice(&ended.stdout)?;
    assert_eq!((ended.status.code(), &report["outcome"]), (Some(1), &json!("failed")), "{report}");
    assert_eq!(alias_target(&platform).await?, (json!("$LATEST"), 0));
    let taken = ["alias", "update", "web", "prod", "--version", "$LATEST", "--weight", "1=0.5"];
    platform.cli_json(&taken).await?;
    let refused = tools::output(&mut platform.cli(&ROLLOUT)).await?;
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    platform.stop().await
}
