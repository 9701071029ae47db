//! Session affinity: requests with the same key go to the same instance, regardless of other calls.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, leftovers, wait};
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

async fn with_sessions(by: &str) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("chat", "hello:v1", &["--memory", "128", "--session", by, "--sessions-per-instance", "1"]).await?;
    Ok(platform)
}

fn instances(platform: &Platform) -> Vec<u32> {
    leftovers::processes(&platform.cgroup_name())
}

/// A call to the session's instance, and its response.
async fn call(platform: &Platform, header: (&str, &str), path: &str) -> anyhow::Result<(u16, String)> {
    let answer = platform.http.get(platform.url("chat", path)).header(header.0, header.1).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reaches_its_own_instance_only() -> anyhow::Result<()> {
    let platform = with_sessions("cookie:chat_id").await?;
    let (anna, ben) = (("cookie", "theme=dark; chat_id=anna"), ("cookie", "chat_id=ben"));
    assert_eq!(call(&platform, anna, "/write?/tmp/anna").await?, (200, "written".to_owned()));
    let many = join_all((0..20).map(|number| {
        let who = if number % 2 == 0 { anna } else { ben };
        call(&platform, who, "/read?/tmp/anna")
    }));
    for (number, answer) in many.await.into_iter().enumerate() {
        let found = answer?.0 == 200;
        assert_eq!(found, number % 2 == 0, "call {number}");
    }
    assert_eq!(instances(&platform).len(), 2);
    platform.stop().await
}

#[tokio::test]
async fn a_session_moves_when_its_instance_dies() -> anyhow::Result<()> {
    let platform = with_sessions("header:X-Chat-Id").await?;
    let anna = ("x-chat-id", "anna");
    assert_eq!(call(&platform, anna, "/").await?.0, 200);
    let before = instances(&platform);
    let victim = i32::try_from(before[0]).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(victim, Signal::KILL)?;
    wait::until("it is gone", || async { Ok((instances(&platform) != before).then_some(())) }).await?;
    assert_eq!(call(&platform, anna, "/").await?.0, 200);
    platform.stop().await
}

#[tokio::test]
async fn sessions_are_listed_and_invalid_keys_are_refused() -> anyhow::Result<()> {
    let platform = with_sessions("query:chat_id").await?;
    let function = platform.api.call("GetFunction", json!({"FunctionName": "chat"})).await?;
    let config = &function["InstanceConcurrencyConfig"];
    assert_eq!(
        (&config["Type"], &config["SessionConfig"]["SessionSource"]),
        (&json!("Session-Based"), &json!("QUERY_STRING"))
    );
    let long = format!("/?chat_id={}", "x".repeat(2000));
    let (status, message) = call(&platform, ("accept", "*/*"), &long).await?;
    assert_eq!(status, 436, "{message}");
    assert!(message.contains("1024"), "{message}");
    assert_eq!(call(&platform, ("accept", "*/*"), "/?chat_id=").await?.0, 200, "no key is no session");
    platform.stop().await
}
