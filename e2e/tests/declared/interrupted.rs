//! Deploys of a file that are interrupted at each step by a kill of the platform or of the client:
//! the next deploy completes them, and creates nothing twice.

use e2e::api_proxy::{ApiProxy, Moment};
use e2e::{Platform, tools, wait};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{run, written};

/// `IMAGE` stands for the image with the registry's host, because the proxy's address differs from
/// the registry's.
const CUT: &str = r#"
project: shop
functions:
  web:
    image: IMAGE
    timeout: 30
    environment: { COLOUR: red }
    events: { retries: 1 }
    publish: true
    aliases:
      live: { version: newest }
    triggers:
      url: { type: http, qualifier: live, desc: { AuthType: NONE } }
  worker:
    image: IMAGE
    type: event
    timeout: 30
    reserved: 512
    versions:
      1: { image: IMAGE, timeout: 10 }
      3: { image: IMAGE, timeout: 20 }
    aliases:
      both: { version: 1, weights: { 3: 0.25 } }
    triggers:
      nightly: { cron: 0 3 * * *, zone: UTC, argument: go, qualifier: both }
      hook: { type: webhook, desc: { Scheme: bearer, Secrets: [a-secret-of-the-hook] } }
domains:
  shop.example.com:
    routes: { /*: web:live }
"#;

/// Most interrupted deploys before one must complete.
const ROUNDS_MAX: usize = 60;

/// Writes the declaration for this platform.
pub fn file(platform: &Platform, text: &str) -> anyhow::Result<String> {
    written(platform, "cut.yaml", &text.replace("IMAGE", &format!("{}/hello:v1", platform.registry())))
}

/// The numbers of a function's published versions.
pub async fn versions(platform: &Platform, function: &str) -> anyhow::Result<Vec<String>> {
    let listed = platform.api.call("ListVersionByFunction", json!({"FunctionName": function, "Limit": 100})).await?;
    let versions = listed["FunctionVersion"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut versions: Vec<String> = versions.filter(|version| *version != "$LATEST").map(str::to_owned).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Fails unless the platform's state equals the file, without duplicates.
async fn is_declared(platform: &Platform, file: &str) -> anyhow::Result<()> {
    let same = run(platform, "diff", &[file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    assert_eq!(versions(platform, "web").await?, ["1"]);
    assert_eq!(versions(platform, "worker").await?, ["1", "3"]);
    for (function, triggers) in [("web", 1), ("worker", 2)] {
        let listed = platform.cli_json(&["trigger", "list", function]).await?;
        assert_eq!(listed.as_array().map(Vec::len), Some(triggers), "{listed}");
    }
    assert_eq!(platform.get("web", "/env?COLOUR").await?.text().await?, "red");
    Ok(())
}

/// Deploys the file through the proxy until the call at which it stops, and kills the client there;
/// returns `true` when the deploy completed.
async fn deploy_until_stopped(platform: &Platform, proxy: &ApiProxy, file: &str) -> anyhow::Result<bool> {
    until_stopped(proxy, platform.cli(&["deploy", "-f", file, "--endpoint", &proxy.address])).await
}

async fn until_stopped(proxy: &ApiProxy, mut command: Command) -> anyhow::Result<bool> {
    tokio::select! {
        // The drop kills the client.
        () = proxy.stopped() => Ok(false),
        ended = tools::run(&mut command) => {
            let ended = ended?;
            assert!(ended.ok, "{}{}", ended.stdout, ended.stderr);
            Ok(true)
        }
    }
}

#[tokio::test]
async fn a_platform_killed_after_each_step_of_a_deploy_ends_as_declared() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = file(&platform, CUT)?;
    let proxy = ApiProxy::start(&platform.control).await?;
    let mut steps = Vec::new();
    for round in 0.. {
        assert!(round < ROUNDS_MAX, "it does not end: {steps:?}");
        // Each deploy makes one further change, whose response is lost.
        proxy.stop_at(1, Moment::After);
        if deploy_until_stopped(&platform, &proxy, &file).await? {
            break;
        }
        platform.kill().await?;
        steps.extend(proxy.actions());
        platform = platform.restart().await?;
    }
    let published = steps.iter().filter(|action| *action == "PublishVersion").count();
    assert_eq!(published, 3, "each is published once: {steps:?}");
    is_declared(&platform, &file).await?;
    platform.stop().await
}

/// A later state of [`CUT`]: every part changes, some are removed, and one is added.
const CHANGED: &str = r#"
project: shop
functions:
  web:
    image: IMAGE
    timeout: 20
    environment: { COLOUR: blue }
    publish: true
    provisioned: { number: 1 }
    aliases:
      live: { version: newest, description: in blue }
    triggers:
      url: { type: http, qualifier: live, desc: { AuthType: CAM } }
  worker:
    image: IMAGE
    type: event
    timeout: 40
    versions:
      3: { image: IMAGE, timeout: 20 }
      5: { image: IMAGE, timeout: 50 }
    aliases:
      both: { version: 3, weights: { 5: 0.5 } }
    triggers:
      nightly: { cron: 0 4 * * *, zone: UTC, qualifier: both, paused: true }
domains:
  shop.example.com:
    routes: { /*: web:live, /w: worker:both }
  www.example.com:
    routes: { /*: web }
"#;

#[tokio::test]
async fn a_platform_killed_after_each_step_of_a_change_ends_as_declared() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    let whole = file(&platform, CUT)?;
    let proxy = ApiProxy::start(&platform.control).await?;
    let made = run(&platform, "deploy", &[&whole]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    let changed = file(&platform, CHANGED)?;
    for round in 0.. {
        assert!(round < ROUNDS_MAX, "it does not end: {:?}", proxy.actions());
        proxy.stop_at(1, Moment::After);
        let args = ["deploy", "--prune", "-f", &changed, "--endpoint", &proxy.address];
        if until_stopped(&proxy, platform.cli(&args)).await? {
            break;
        }
        platform.kill().await?;
        platform = platform.restart().await?;
    }
    let same = tools::run(&mut platform.cli(&["diff", "--prune", "-f", &changed])).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    assert_eq!(versions(&platform, "web").await?, ["1", "2"]);
    assert_eq!(versions(&platform, "worker").await?, ["3", "5"]);
    let function = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?;
    assert_eq!(function["Environment"]["Variables"], json!([{"Key": "COLOUR", "Value": "blue"}]));
    platform.stop().await
}

#[tokio::test]
async fn a_client_killed_at_any_step_of_a_deploy_is_followed_by_one_that_completes_it() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = file(&platform, CUT)?;
    let proxy = ApiProxy::start(&platform.control).await?;
    for round in 0.. {
        assert!(round < ROUNDS_MAX, "it does not end");
        let moment = if round % 2 == 0 { Moment::After } else { Moment::Before };
        proxy.stop_at(1 + round % 3, moment);
        if deploy_until_stopped(&platform, &proxy, &file).await? {
            break;
        }
    }
    is_declared(&platform, &file).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_deploy_whose_platform_ends_says_so_once_and_what_is_left() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = file(&platform, CUT)?;
    let mut deploy = platform.cli(&["deploy", "-f", &file]);
    let deploy = tokio::spawn(async move { tools::run(&mut deploy).await });
    wait::until("the first function is there", || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await;
        Ok(found.is_ok().then_some(()))
    })
    .await?;
    platform.kill().await?;
    let ended = deploy.await??;
    assert_eq!(ended.code, Some(5), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr.matches("Sampan cannot be reached").count(), 1, "{}", ended.stderr);
    for item in ["function worker", "trigger nightly of worker", "domain shop.example.com"] {
        assert!(ended.stderr.contains(item), "{item} is not in {}", ended.stderr);
    }
    let platform = platform.restart().await?;
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok, "{}{}", again.stdout, again.stderr);
    is_declared(&platform, &file).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_platform_killed_after_each_step_of_a_removal_ends_without_it() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    let whole = file(&platform, CUT)?;
    let proxy = ApiProxy::start(&platform.control).await?;
    let less = written(&platform, "less.yaml", "project: shop\nfunctions: {}\n")?;
    let removals: [&[&str]; 2] = [&["deploy", "--prune", "-f", &less], &["delete", "-f", &whole]];
    for removal in removals {
        let made = run(&platform, "deploy", &[&whole]).await?;
        assert!(made.ok, "{}{}", made.stdout, made.stderr);
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "{removal:?} does not end: {:?}", proxy.actions());
            proxy.stop_at(1, Moment::After);
            let mut command = platform.cli(removal);
            command.args(["--endpoint", &proxy.address]);
            if until_stopped(&proxy, command).await? {
                break;
            }
            platform.kill().await?;
            platform = platform.restart().await?;
        }
        assert_eq!(platform.cli_json(&["list"]).await?, json!([]));
        assert_eq!(platform.cli_json(&["domain", "list"]).await?, json!([]));
    }
    platform.stop().await
}
