//! Dead letters: listed with their reason, redriven and purged by CLI commands.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools, wait};
use serde_json::{Value, json};

/// Accepts more events than run concurrently and deletes their function: the waiting ones become
/// dead letters.
async fn orphan_events(platform: &Platform) -> anyhow::Result<()> {
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    for _ in 0..30 {
        let event = json!({"route": "sleep?1000"}).to_string();
        let body = json!({"FunctionName": "event", "InvocationType": "Event", "ClientContext": event});
        platform.api.call("Invoke", body).await?;
    }
    tools::run_ok(&mut platform.cli(&["delete", "event"])).await?;
    Ok(())
}

async fn letters(platform: &Platform, args: &[&str]) -> anyhow::Result<Vec<Value>> {
    let args = [&["events", "dead-letters"], args].concat();
    let listed = platform.cli_json(&args).await?;
    Ok(listed["dead_letters"].as_array().cloned().unwrap_or_default())
}

/// Waits until no event of the function waits or runs.
async fn settled(platform: &Platform) -> anyhow::Result<Vec<Value>> {
    wait::until("events of the deleted function have become dead letters", || async {
        let found = letters(platform, &["--limit", "100"]).await?;
        Ok((found.len() >= 20).then_some(found))
    })
    .await
}

#[tokio::test]
async fn dead_letters_are_listed_redriven_and_purged() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    orphan_events(&platform).await?;
    let found = settled(&platform).await?;
    let first = &found[0];
    assert_eq!((&first["function"], &first["reason"]), (&json!("event"), &json!("refused")), "{first}");
    let (id, row) = (first["id"].as_str().unwrap_or_default(), first["row"].to_string());
    let after = letters(&platform, &["event", "--after", &row, "--limit", "1"]).await?;
    assert_eq!(after[0]["id"], found[1]["id"]);
    assert!(letters(&platform, &["another"]).await?.is_empty());

    let shown = platform.cli_json(&["events", "dead-letter", id]).await?;
    assert_eq!(shown["payload"], r#"{"route":"sleep?1000"}"#, "{shown}");

    // The events' function is gone; a new function of the same name does not get them.
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    for of in [&[id][..], &["--all"]] {
        let redriven = tools::run(&mut platform.cli(&[&["events", "redrive"], of].concat())).await?;
        let (ok, said) = (redriven.ok, redriven.stderr);
        assert!(!ok && said.contains("default/event was deleted") && said.contains("sampan events purge"), "{said}");
    }
    // Events that ran during the deletion may become dead letters later.
    let left = letters(&platform, &["--limit", "100"]).await?.len();
    assert!(left >= found.len(), "{left} of {} are left", found.len());

    let refused = tools::run(&mut platform.cli(&["--output", "json", "events", "purge", "--all"])).await?;
    assert!(refused.stderr.contains("\"exit_code\":2") && refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(platform.cli_json(&["events", "purge", id]).await?, json!({"purged": 1}));
    let unknown = tools::run(&mut platform.cli(&["--output", "json", "events", "redrive", id])).await?;
    assert!(unknown.stderr.contains("\"exit_code\":3"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("is not a dead letter"), "{}", unknown.stderr);
    let purged = platform.cli_json(&["events", "purge", "--function", "event", "--force"]).await?;
    assert!(purged["purged"].as_u64().is_some_and(|count| count >= 19), "{purged}");
    assert!(letters(&platform, &[]).await?.is_empty());
    platform.stop().await
}
