//! `--prune` removes only objects that the file's project created, whatever their marks.

use e2e::{Platform, tools};
use serde_json::{Value, json};

use crate::{run, written};

const MADE: &str = "
project: shop
functions:
  web:
    image: hello:v1
    timeout: 30
    publish: true
    aliases: { live: { version: newest }, old: { version: newest } }
    triggers: { url: { type: http, desc: { AuthType: NONE } } }
  worker:
    image: hello:v1
    type: event
    timeout: 30
    triggers: { nightly: { cron: 0 3 * * *, description: at night } }
  sink: { image: hello:v1, type: event, timeout: 30 }
";
/// The part that stays declared.
const LESS: &str = "
project: shop
functions:
  web: { image: hello:v1, timeout: 30, publish: true }
  sink: { image: hello:v1, type: event, timeout: 30 }
";

async fn prune(platform: &Platform, command: &str, file: &str) -> anyhow::Result<tools::ProgramOutput> {
    tools::run(&mut platform.cli(&[command, "--prune", "-f", file])).await
}

async fn names(platform: &Platform, command: &[&str], field: &str) -> anyhow::Result<Vec<String>> {
    let listed = platform.cli_json(command).await?;
    let names = listed.as_array().into_iter().flatten().filter_map(|entry| entry[field].as_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}

#[tokio::test]
async fn copies_of_marks_and_marks_by_hand_are_not_pruned() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let made = written(&platform, "sampan.yaml", MADE)?;
    let blog = "project: blog\nfunctions: { post: { image: hello:v1, timeout: 30 } }\n";
    let blog = written(&platform, "blog.yaml", blog)?;
    for file in [&made, &blog] {
        let done = run(&platform, "deploy", &[file]).await?;
        assert!(done.ok, "{}{}", done.stdout, done.stderr);
    }
    let call = async |action: &str, request: Value| platform.api.call(action, request).await;
    // A copied function has the tags of its original.
    call("CopyFunction", json!({"FunctionName": "worker", "NewFunctionName": "copy"})).await?;
    let image = format!("{}/hello:v1", platform.registry());
    let code = json!({"ImageConfig": {"ImageType": "personal", "ImageUri": image}});
    for (name, mark) in [("forged", "shop"), ("other", "shop as worker")] {
        let tags = json!([{"Key": "sampan:declared", "Value": mark}]);
        call("CreateFunction", json!({"FunctionName": name, "Type": "HTTP", "Code": code, "Tags": tags})).await?;
    }
    for name in ["copy", "forged", "other"] {
        platform.api.wait_status(name, &["Active"]).await?;
    }
    // A user copies a trigger with its description, and removes an alias from the project.
    let there = call("ListTriggers", json!({"FunctionName": "worker"})).await?["Triggers"][0].clone();
    assert_eq!(there["Description"], "at night [declared by shop as timer nightly of worker:$LATEST]");
    let (cron, description) = ("0 0 3 * * * *", &there["Description"]);
    let mut copied = json!({"FunctionName": "sink", "TriggerName": "nightly", "Type": "timer", "TriggerDesc": cron});
    copied["Description"] = description.clone();
    call("CreateTrigger", copied).await?;
    let alias = |name: &str, text: &str| {
        let version = json!("1");
        json!({"FunctionName": "web", "Name": name, "FunctionVersion": version, "Description": text})
    };
    call("CreateAlias", alias("mine", "[declared by shop]")).await?;
    call("UpdateAlias", alias("old", "ours now")).await?;

    let less = written(&platform, "less.yaml", LESS)?;
    let differs = prune(&platform, "diff", &less).await?;
    assert_eq!(differs.code, Some(2), "{}{}", differs.stdout, differs.stderr);
    let gone: Vec<&str> = differs.stdout.lines().filter(|line| line.contains("no longer declared")).collect();
    let expected = ["http trigger url of web:$LATEST", "alias web:live", "function worker"];
    assert_eq!(gone, expected.map(|item| format!("{item}: is no longer declared")), "{}", differs.stdout);
    let pruned = prune(&platform, "deploy", &less).await?;
    assert!(pruned.ok, "{}{}", pruned.stdout, pruned.stderr);
    assert_eq!(names(&platform, &["list"], "FunctionName").await?, ["copy", "forged", "other", "post", "sink", "web"]);
    let left = names(&platform, &["alias", "list", "web"], "Name").await?;
    assert_eq!(left, ["$DEFAULT", "mine", "old"]);
    assert_eq!(names(&platform, &["trigger", "list", "sink"], "TriggerName").await?, ["nightly"]);
    assert!(prune(&platform, "diff", &less).await?.ok);

    // Objects with such marks can be exported, and the exported file deployed.
    let exported = tools::run_ok(&mut platform.cli(&["export", "--project", "all"])).await?;
    assert!(!exported.contains("declared by"), "{exported}");
    platform.stop().await
}

#[tokio::test]
async fn a_function_that_a_user_added_to_is_not_pruned() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let made = written(&platform, "sampan.yaml", MADE)?;
    let done = run(&platform, "deploy", &[&made]).await?;
    assert!(done.ok, "{}{}", done.stdout, done.stderr);
    tools::run_ok(&mut platform.cli(&["trigger", "create", "worker", "mine", "--cron", "0 4 * * *"])).await?;
    tools::run_ok(&mut platform.cli(&["publish", "worker", "--alias", "by-hand"])).await?;
    let less = written(&platform, "less.yaml", LESS)?;
    let refused = prune(&platform, "deploy", &less).await?;
    assert!(!refused.ok, "{}", refused.stdout);
    for part in ["timer trigger mine of worker:$LATEST", "alias worker:by-hand", "version worker:1", "sampan delete"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
    assert_eq!(names(&platform, &["trigger", "list", "worker"], "TriggerName").await?, ["mine", "nightly"]);
    assert!(!refused.stdout.contains("function worker: removed") && refused.stdout.contains("alias web:live: removed"));

    // Without the user's additions the function is pruned.
    tools::run_ok(&mut platform.cli(&["trigger", "delete", "worker", "mine"])).await?;
    let by_hand = json!({"FunctionName": "worker", "Name": "by-hand"});
    platform.api.call("DeleteAlias", by_hand).await?;
    platform.api.call("DeleteFunctionVersion", json!({"FunctionName": "worker", "Qualifier": "1"})).await?;
    let pruned = prune(&platform, "deploy", &less).await?;
    assert!(pruned.ok && pruned.stdout.contains("function worker: removed"), "{}{}", pruned.stdout, pruned.stderr);
    assert_eq!(names(&platform, &["list"], "FunctionName").await?, ["sink", "web"]);
    platform.stop().await
}
