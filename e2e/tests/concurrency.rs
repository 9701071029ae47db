//! Quotas under load: instances never exceed them, a reservation is available to its function, and
//! official clients set and read them.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::{Platform, leftovers, tools, wait};
use futures_util::future::join_all;
use serde_json::json;

/// Memory size of every instance in these tests, in MB.
const MEMORY_MB: u64 = 128;
/// Memory quota of the installation in MB: eight instances.
const QUOTA_MB: u64 = 8 * MEMORY_MB;
/// Clients of the noisy function, more than the quota allows instances.
const CLIENTS: usize = 16;

async fn with_functions(names: &[&str]) -> anyhow::Result<Platform> {
    let quota = QUOTA_MB.to_string();
    let platform = Platform::start_with(&[("SAMPAN_POOL__MEMORY_MB_MAX", &quota)]).await?;
    platform.push_hello().await?;
    for name in names {
        let flags = ["--memory", &MEMORY_MB.to_string(), "--timeout", "30", "--no-start-check"];
        platform.deploy(name, "hello:v1", &flags).await?;
    }
    Ok(platform)
}

async fn status(platform: &Platform, function: &str, path: &str) -> anyhow::Result<u16> {
    Ok(platform.get(function, path).await?.status().as_u16())
}

/// Number of running first processes of instances.
fn instances(platform: &Platform) -> u64 {
    leftovers::processes(&platform.cgroup_name()).len() as u64
}

/// Clients that keep a function busy until they are stopped; counts responses other than 200 and
/// 432.
struct Noise {
    stop: Arc<AtomicBool>,
    strange: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Noise {
    fn start(platform: &Platform, function: &str) -> Self {
        let (stop, strange): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let client = |_| {
            let (http, url) = (platform.http.clone(), platform.url(function, "/sleep?200"));
            let (stop, strange) = (stop.clone(), strange.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match http.get(&url).send().await.map(|answer| answer.status().as_u16()) {
                        Ok(200 | 432) => {}
                        _ => drop(strange.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, strange, clients }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.clients).await;
        self.strange.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_stays_within_the_quota_and_respects_reservations() -> anyhow::Result<()> {
    let platform = with_functions(&["noisy", "calm"]).await?;
    platform.cli_json(&["quota", "calm", "--reserved", &(2 * MEMORY_MB).to_string()]).await?;
    let noise = Noise::start(&platform, "noisy");
    let of_noisy = QUOTA_MB / MEMORY_MB - 2;
    wait::until("the noisy function has all that is not reserved", || async {
        Ok((instances(&platform) == of_noisy).then_some(()))
    })
    .await?;
    for round in 0..20 {
        let both = join_all((0..2).map(|_| status(&platform, "calm", "/sleep?50"))).await;
        assert!(both.into_iter().all(|answer| matches!(answer, Ok(200))), "round {round}");
        let now = instances(&platform);
        assert!(now <= QUOTA_MB / MEMORY_MB, "{now} instances run");
    }
    // A reservation is also an upper limit.
    let many = join_all((0..8).map(|_| status(&platform, "calm", "/sleep?20"))).await;
    assert!(many.into_iter().all(|answer| matches!(answer, Ok(200 | 432))));
    let account = platform.api.call("GetAccount", json!({})).await?;
    let used_mb = account["AccountUsage"]["Namespace"][0]["TotalConcurrencyMem"].as_u64().unwrap_or_default();
    assert!(used_mb <= QUOTA_MB && used_mb >= of_noisy * MEMORY_MB, "{used_mb} MB are used");
    assert_eq!(noise.end().await, 0);
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_function_gets_its_fair_share_during_a_storm() -> anyhow::Result<()> {
    let platform = with_functions(&["noisy", "late"]).await?;
    let noise = Noise::start(&platform, "noisy");
    wait::until("the noisy function has everything", || async {
        Ok((instances(&platform) == QUOTA_MB / MEMORY_MB).then_some(()))
    })
    .await?;
    for round in 0..10 {
        assert_eq!(status(&platform, "late", "/").await?, 200, "round {round}");
    }
    assert_eq!(noise.end().await, 0);
    platform.stop().await
}

#[tokio::test]
async fn a_reservation_of_0_disables_a_function() -> anyhow::Result<()> {
    let platform = with_functions(&["hello", "other"]).await?;
    assert_eq!(status(&platform, "hello", "/").await?, 200);
    platform.cli_json(&["quota", "hello", "--reserved", "0"]).await?;
    let answer = wait::until("the function is stopped", || async {
        let answer = platform.get("hello", "/").await?;
        Ok((answer.status() == 432).then_some(answer))
    })
    .await?;
    let text = answer.text().await?;
    assert!(text.contains("Function [ default/hello ] concurrency exceeded reserved quota 0 MB"), "{text}");
    assert_eq!(status(&platform, "other", "/").await?, 200);
    let platform = platform.restart().await?;
    assert_eq!(status(&platform, "hello", "/").await?, 432, "it is stopped after a restart, too");
    platform.cli_json(&["quota", "hello", "--reserved", "none"]).await?;
    wait::until("it runs again", || async { Ok((status(&platform, "hello", "/").await? == 200).then_some(())) })
        .await?;
    platform.stop().await
}

#[tokio::test]
async fn the_python_sdk_manages_quotas() -> anyhow::Result<()> {
    let platform = with_functions(&["hello"]).await?;
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/quotas.py"));
    sdk.args([platform.registry(), &platform.api.secret_id, &platform.api.secret_key, "hello"]);
    let said = tools::run_ok(&mut sdk).await?;
    assert_eq!(said.trim(), "ok");
    platform.stop().await
}
