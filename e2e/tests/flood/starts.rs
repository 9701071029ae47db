//! Functions whose instances fail to start.

use std::collections::BTreeMap;

use e2e::Platform;
use futures_util::future::join_all;
use serde_json::json;

/// Printed by `examples/hello` when it exits at its start.
const OUTPUT: &str = "as EXIT_AT_START says";
/// Numbers of concurrent callers, and of calls by each.
const CALLERS: usize = 8;
const CALLS: usize = 75;

/// A platform with the hello image, whose function `crash` exits at its start.
async fn start(flags: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let crashes = ["--no-start-check", "--memory", "128", "--env", "EXIT_AT_START=3"];
    platform.deploy("crash", "hello:v1", &[&crashes, flags].concat()).await?;
    platform.deploy("other", "hello:v1", &["--no-start-check", "--memory", "128"]).await?;
    Ok(platform)
}

#[tokio::test]
async fn a_crash_looping_function_fails_fast_and_does_not_use_up_starts() -> anyhow::Result<()> {
    let platform = start(&[]).await?;
    let calls = (0..CALLERS).map(|_| async {
        let mut statuses = Vec::new();
        for _ in 0..CALLS {
            statuses.push(platform.get("crash", "/").await?.status().as_u16());
        }
        anyhow::Ok(statuses)
    });
    let mut statuses = BTreeMap::new();
    for status in join_all(calls).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat() {
        *statuses.entry(status).or_insert(0) += 1;
    }
    // All calls return the failed start's status; none is refused a start.
    assert_eq!(statuses, BTreeMap::from([(405, CALLERS * CALLS)]));
    assert_eq!(platform.get("other", "/").await?.status(), 200);

    let answer = platform.get("crash", "/").await?;
    let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    let text = answer.text().await?;
    assert!(text.contains("exited with code 3") && !text.contains(OUTPUT), "{text}");
    let log = platform.api.log_of("crash", &id).await?;
    assert!(log["Log"].as_str().is_some_and(|log| log.contains(OUTPUT)), "{log}");

    // A new generation has no failures yet.
    platform.deploy("crash", "hello:v1", &["--env", "A=b"]).await?;
    assert_eq!(platform.get("crash", "/").await?.status(), 200);
    platform.stop().await
}

#[tokio::test]
async fn output_of_a_failed_start_is_shown_to_signed_callers_of_event_functions_only() -> anyhow::Result<()> {
    let platform = start(&["--type", "event"]).await?;
    let invoked = platform.api.invoke("crash", &json!({})).await?;
    assert!(invoked["ErrMsg"].as_str().is_some_and(|text| text.contains(OUTPUT)), "{invoked}");
    let answer = platform.get("crash", "/").await?;
    assert_eq!(answer.status(), 405);
    let text = answer.text().await?;
    assert!(text.contains("exited with code 3") && !text.contains(OUTPUT), "{text}");
    platform.stop().await
}
