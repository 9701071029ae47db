//! Concurrent deploys of files, and manual changes between two deploys.

use e2e::{Platform, tools};
use serde_json::json;

use crate::interrupted::versions;
use crate::{run, written};

/// The file of a project whose functions publish each change.
fn shop(project: &str, colour: &str) -> String {
    format!(
        "
project: {project}
functions:
  web:
    image: hello:v1
    timeout: 30
    environment: {{ COLOUR: {colour} }}
    publish: true
    aliases: {{ live: {{ version: newest }} }}
    triggers: {{ url: {{ type: http, qualifier: live, desc: {{ AuthType: NONE }} }} }}
  worker:
    image: hello:v1
    type: event
    timeout: 30
    on_failure: fn:sink
    versions: {{ 1: {{ image: hello:v1, timeout: 10 }}, 3: {{ image: hello:v1, timeout: 20 }} }}
    triggers: {{ nightly: {{ cron: 0 3 * * * }} }}
  sink: {{ image: hello:v1, type: event, timeout: 30 }}
domains:
  shop.example.com: {{ routes: {{ /*: web:live }} }}
"
    )
}

#[tokio::test]
async fn deploys_of_one_file_at_once_publish_nothing_twice() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    for (round, colour) in ["red", "green", "blue"].into_iter().enumerate() {
        let file = written(&platform, "sampan.yaml", &shop("shop", colour))?;
        let files = [file.as_str()];
        let deploy = || run(&platform, "deploy", &files);
        let (a, b, c) = tokio::try_join!(deploy(), deploy(), deploy())?;
        for done in [&a, &b, &c] {
            assert!(done.ok || done.stderr.contains("eploy again"), "{}{}", done.stdout, done.stderr);
        }
        assert!(a.ok || b.ok || c.ok, "{}{}{}", a.stderr, b.stderr, c.stderr);
        let same = run(&platform, "diff", &[&file]).await?;
        assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
        let numbers: Vec<String> = (1..=round + 1).map(|number| number.to_string()).collect();
        assert_eq!(versions(&platform, "web").await?, numbers);
        assert_eq!(versions(&platform, "worker").await?, ["1", "3"]);
        assert_eq!(platform.get("web", "/env?COLOUR").await?.text().await?, colour);
    }
    platform.stop().await
}

#[tokio::test]
async fn of_two_files_with_one_function_one_wins_or_a_deploy_says_to_run_again() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let (red, blue) = (shop("shop", "red"), shop("shop", "blue"));
    let (red, blue) = (written(&platform, "red.yaml", &red)?, written(&platform, "blue.yaml", &blue)?);
    for _ in 0..3 {
        let (reds, blues) = ([red.as_str()], [blue.as_str()]);
        let (a, b) = tokio::try_join!(run(&platform, "deploy", &reds), run(&platform, "deploy", &blues))?;
        let (is_red, is_blue) = (run(&platform, "diff", &[&red]).await?, run(&platform, "diff", &[&blue]).await?);
        let failed: Vec<_> = [a, b].into_iter().filter(|done| !done.ok).collect();
        assert!(is_red.ok || is_blue.ok || !failed.is_empty(), "{}{}", is_red.stdout, is_blue.stdout);
        for done in failed {
            assert!(done.stderr.contains("eploy again"), "{}{}", done.stdout, done.stderr);
        }
        // Deployed alone, each file determines the state.
        for (file, colour) in [(&red, "red"), (&blue, "blue")] {
            let done = run(&platform, "deploy", &[file]).await?;
            assert!(done.ok, "{}{}", done.stdout, done.stderr);
            assert!(run(&platform, "diff", &[file]).await?.ok);
            assert_eq!(platform.get("web", "/env?COLOUR").await?.text().await?, colour);
        }
    }
    platform.stop().await
}

#[tokio::test]
async fn of_two_projects_with_one_function_one_gets_it() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let (shop_file, blog) = (shop("shop", "red"), shop("blog", "blue"));
    let (shop_file, blog) = (written(&platform, "shop.yaml", &shop_file)?, written(&platform, "blog.yaml", &blog)?);
    let (shops, blogs) = ([shop_file.as_str()], [blog.as_str()]);
    let (a, b) = tokio::try_join!(run(&platform, "deploy", &shops), run(&platform, "deploy", &blogs))?;
    for (done, other) in [(&a, "blog"), (&b, "shop")] {
        let refused = done.stderr.contains(&format!("belongs to the project {other}"));
        assert!(done.ok || refused, "{}{}", done.stdout, done.stderr);
    }
    assert!(!(a.ok && b.ok), "a function belongs to one of them");
    let function = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?;
    let tag = function["Tags"].as_array().and_then(|tags| tags.iter().find(|tag| tag["Key"] == "sampan:declared"));
    let owner = tag.and_then(|tag| tag["Value"].as_str()).unwrap_or_default().to_owned();
    assert!(["shop as web", "blog as web"].contains(&owner.as_str()), "{owner:?}");
    platform.stop().await
}

#[tokio::test]
async fn a_deploy_and_a_removal_at_once_end_as_the_last_one_says() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", &shop("shop", "red"))?;
    let less = written(&platform, "less.yaml", "project: shop\nfunctions: {}\n")?;
    let files = [file.as_str()];
    for _ in 0..3 {
        let prune = async || tools::run(&mut platform.cli(&["deploy", "--prune", "-f", &less])).await;
        let (deployed, pruned) = tokio::try_join!(run(&platform, "deploy", &files), prune())?;
        let (again, deleted) = tokio::try_join!(run(&platform, "deploy", &files), run(&platform, "delete", &files))?;
        for done in [&deployed, &pruned, &again, &deleted] {
            assert!(done.ok || done.stderr.contains("eploy again"), "{}{}", done.stdout, done.stderr);
        }
        let alone = run(&platform, "deploy", &files).await?;
        assert!(alone.ok, "{}{}", alone.stdout, alone.stderr);
        assert!(run(&platform, "diff", &files).await?.ok);
        let gone = run(&platform, "delete", &files).await?;
        assert!(gone.ok, "{}{}", gone.stdout, gone.stderr);
        assert_eq!(platform.cli_json(&["list"]).await?, json!([]));
    }
    platform.stop().await
}

#[tokio::test]
async fn what_others_changed_or_deleted_is_said_and_declared_again() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let value = written(&platform, "value", "s3cr3t-word")?;
    let set = ["secret", "set", "db", "--file", &value];
    tools::run_ok(&mut platform.cli(&set)).await?;
    tools::run_ok(&mut platform.cli(&["volume", "create", "files"])).await?;
    let text = shop("shop", "red").replace(
        "    publish: true",
        "    publish: true\n    secrets: { PASSWORD: db }\n    mounts: [\"files:/data\"]",
    );
    let file = written(&platform, "sampan.yaml", &text)?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);

    // Another user deploys the function by hand, moves the alias and deletes a trigger.
    let by_hand = ["deploy", "web", "--image", "hello:v1", "--memory", "256", "--env", "COLOUR=grey"];
    tools::run_ok(&mut platform.cli(&by_hand)).await?;
    tools::run_ok(&mut platform.cli(&["publish", "web", "--alias", "live"])).await?;
    platform
        .api
        .call("DeleteTrigger", json!({"FunctionName": "worker", "TriggerName": "nightly", "Type": "timer"}))
        .await?;
    tools::run_ok(&mut platform.cli(&["delete", "sink"])).await?;
    let differs = run(&platform, "diff", &[&file]).await?;
    assert_eq!(differs.code, Some(2), "{}{}", differs.stdout, differs.stderr);
    for line in [
        "function web: differs",
        "memory: 256 -> 128",
        "environment.COLOUR: \"grey\" -> \"red\"",
        "environment.PASSWORD: (none)",
        "trigger nightly of worker: does not exist",
        "function sink: does not exist",
    ] {
        assert!(differs.stdout.contains(line), "{line} is not in {}", differs.stdout);
    }
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok, "{}{}", again.stdout, again.stderr);
    assert!(run(&platform, "diff", &[&file]).await?.ok);
    assert_eq!(platform.get("web", "/env?PASSWORD").await?.text().await?, "s3cr3t-word");
    assert_eq!(versions(&platform, "web").await?, ["1", "2", "3"], "what was published by hand stays");

    // A function and its published versions are deleted between `diff` and `deploy`.
    tools::run_ok(&mut platform.cli(&["delete", "web"])).await?;
    tools::run_ok(&mut platform.cli(&["delete", "worker"])).await?;
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok, "{}{}", again.stdout, again.stderr);
    assert!(run(&platform, "diff", &[&file]).await?.ok);
    assert_eq!(versions(&platform, "web").await?, ["1"]);

    // Errors name a deleted secret and volume, and the commands that create them.
    tools::run_ok(&mut platform.cli(&["delete", "web"])).await?;
    tools::run_ok(&mut platform.cli(&["secret", "delete", "db"])).await?;
    let refused = run(&platform, "deploy", &[&file]).await?;
    assert!(!refused.ok && refused.stderr.contains("sampan secret set"), "{}", refused.stderr);
    tools::run_ok(&mut platform.cli(&set)).await?;
    tools::run_ok(&mut platform.cli(&["volume", "delete", "files"])).await?;
    let refused = run(&platform, "deploy", &[&file]).await?;
    assert!(!refused.ok && refused.stderr.contains("sampan volume create"), "{}", refused.stderr);
    tools::run_ok(&mut platform.cli(&["volume", "create", "files"])).await?;
    let done = run(&platform, "deploy", &[&file]).await?;
    assert!(done.ok, "{}{}", done.stdout, done.stderr);
    platform.stop().await
}
