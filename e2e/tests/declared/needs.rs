//! Objects that a deploy creates implicitly, and unusual states that it finds.

use e2e::{Platform, tools};
use serde_json::{Value, json};

use crate::interrupted::versions;
use crate::{run, written};

const CIRCLE: &str = "
project: shop
functions:
  team/one: { image: hello:v1, type: event, timeout: 30, on_failure: fn:two }
  team/two: { image: hello:v1, type: event, timeout: 30, on_success: fn:three }
  team/three: { image: hello:v1, type: event, timeout: 30, on_failure: fn:one, triggers: { t: { cron: 0 3 * * * } } }
";

#[tokio::test]
async fn namespaces_and_circles_of_destinations_are_made() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", CIRCLE)?;
    let differs = run(&platform, "diff", &[&file]).await?;
    assert!(differs.code == Some(2) && differs.stdout.contains("namespace team: does not exist"), "{}", differs.stdout);
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok && made.stdout.contains("namespace team: created"), "{}{}", made.stdout, made.stderr);
    let same = run(&platform, "diff", &[&file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let one = platform.api.call("GetFunction", json!({"FunctionName": "three", "Namespace": "team"})).await?;
    assert_eq!(one["OnFailure"], "fn:one");

    // An export recreates the namespace in an installation that lacks it.
    let exported = tools::run_ok(&mut platform.cli(&["export"])).await?;
    let deleted = run(&platform, "delete", &[&file]).await?;
    assert!(deleted.ok, "{}{}", deleted.stdout, deleted.stderr);
    platform.api.call("DeleteNamespace", json!({"Namespace": "team"})).await?;
    let copy = written(&platform, "copy.yaml", &exported)?;
    let made = run(&platform, "deploy", &[&copy]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    assert_eq!(tools::run_ok(&mut platform.cli(&["export"])).await?, exported);

    // The error names a destination that does not exist.
    let nowhere = written(&platform, "nowhere.yaml", &CIRCLE.replace("fn:three", "fn:nowhere"))?;
    let refused = run(&platform, "deploy", &[&nowhere]).await?;
    assert!(!refused.ok && refused.stderr.contains("there is no function team/nowhere"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("something else"), "{}", refused.stderr);
    platform.stop().await
}

#[tokio::test]
async fn instances_that_a_schedule_changed_are_as_declared() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let text = "project: shop\nfunctions:\n  web: { image: hello:v1, timeout: 30, publish: true, provisioned: \
                { number: 0, at: [{ cron: '* * * * * * *', number: 1 }] } }\n";
    let file = written(&platform, "sampan.yaml", text)?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    e2e::wait::until("the schedule has set its number", || async {
        let found = platform.api.call("GetProvisionedConcurrencyConfig", json!({"FunctionName": "web"})).await?;
        Ok((found["Allocated"][0]["AllocatedProvisionedConcurrencyNum"] == 1).then_some(()))
    })
    .await?;
    let same = run(&platform, "diff", &[&file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let more =
        written(&platform, "more.yaml", &text.replace("number: 0,", "number: 2,").replace("number: 1 ", "number: 3 "))?;
    assert_eq!(run(&platform, "diff", &[&more]).await?.code, Some(2));
    platform.stop().await
}

const FUNCTION: &str = "
project: shop
functions:
  web:
    image: hello:v1
    timeout: 30
    versions: { 1: { image: hello:v1, timeout: 10 }, 3: { image: hello:v1, timeout: 20 } }
";

#[tokio::test]
async fn failed_and_deleted_things_become_what_is_declared() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", FUNCTION)?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);

    // A manual change that failed.
    let failed = tools::run(&mut platform.cli(&["deploy", "web", "--image", "missing:v1"])).await?;
    assert!(!failed.ok, "{}", failed.stdout);
    let differs = run(&platform, "diff", &[&file]).await?;
    assert!(differs.code == Some(2) && differs.stdout.contains("missing:v1"), "{}{}", differs.stdout, differs.stderr);
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok, "{}{}", again.stdout, again.stderr);
    assert!(run(&platform, "diff", &[&file]).await?.ok);
    assert_eq!(function(&platform).await?["Status"], "Active");

    // A deleted version cannot be recreated under its number.
    platform.api.call("DeleteFunctionVersion", json!({"FunctionName": "web", "Qualifier": "3"})).await?;
    let differs = run(&platform, "diff", &[&file]).await?;
    assert!(differs.stdout.contains("version web:3: does not exist"), "{}", differs.stdout);
    let refused = run(&platform, "deploy", &[&file]).await?;
    for part in ["numbers from 4 on are free", "declare it with the next number"] {
        assert!(!refused.ok && refused.stderr.contains(part), "{}{}", refused.stdout, refused.stderr);
    }
    let next = written(&platform, "next.yaml", &FUNCTION.replace("3: {", "4: {"))?;
    let made = run(&platform, "deploy", &[&next]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    assert_eq!(versions(&platform, "web").await?, ["1", "4"]);

    // The function is still being deleted.
    platform.get("web", "/").await?;
    platform.api.call("DeleteFunction", json!({"FunctionName": "web"})).await?;
    let fresh = run(&platform, "deploy", &[&file]).await?;
    assert!(fresh.ok, "{}{}", fresh.stdout, fresh.stderr);
    assert_eq!(versions(&platform, "web").await?, ["1", "3"]);
    platform.stop().await
}

async fn function(platform: &Platform) -> anyhow::Result<Value> {
    platform.api.call("GetFunction", json!({"FunctionName": "web"})).await
}
