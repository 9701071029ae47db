//! Declarations: `sampan deploy -f`, `diff`, and their guarantees.
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod files;
mod interrupted;
mod needs;
mod pruned;
mod together;

use std::path::PathBuf;

use e2e::tools::ProgramOutput;
use e2e::{Platform, images, tools};
use serde_json::{Value, json};

/// Writes a declaration file, and returns its path.
fn written(platform: &Platform, name: &str, text: &str) -> anyhow::Result<String> {
    let path: PathBuf = platform.work_dir().join(name);
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Runs a command on a declaration.
async fn run(platform: &Platform, command: &str, files: &[&str]) -> anyhow::Result<ProgramOutput> {
    let files = files.iter().flat_map(|file| ["-f", file]);
    let args: Vec<&str> = std::iter::once(command).chain(files).collect();
    tools::run(&mut platform.cli(&args)).await
}

/// The full record of a function, including the times of its changes.
async fn function(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    let mut function = platform.cli_json(&["get", name]).await?;
    function["RequestId"] = Value::Null;
    Ok(function)
}

const FUNCTIONS: &str = r#"
project: shop
functions:
  web:
    image: hello:v1
    memory: ${SHOP_MEMORY:-256}
    timeout: 30
    environment:
      COLOUR: red
      PASSWORD: 'abc$def'
      LIMIT: 1000000
    tags: { owner: me }
    reserved: 512
  worker:
    image: hello:v1
    type: event
    timeout: 30
    events: { retries: 1, ttl: 600 }
"#;

#[tokio::test]
async fn functions_become_what_a_file_declares_and_stay_so() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", FUNCTIONS)?;
    let differs = run(&platform, "diff", &[&file]).await?;
    assert_eq!(differs.code, Some(2), "{}", differs.stderr);
    assert!(differs.stdout.contains("function web: does not exist"), "{}", differs.stdout);
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok && made.stdout.contains("function web: created"), "{}{}", made.stdout, made.stderr);
    for (name, value) in [("COLOUR", "red"), ("PASSWORD", "abc$def"), ("LIMIT", "1000000")] {
        let answer = platform.get("web", &format!("/env?{name}")).await?.text().await?;
        assert_eq!(answer, value, "{name}");
    }
    let before = (function(&platform, "web").await?, function(&platform, "worker").await?);
    assert_eq!((&before.0["MemorySize"], &before.1["Type"]), (&json!(256), &json!("Event")));

    // A second run changes and prints nothing.
    let same = run(&platform, "diff", &[&file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok && !again.stdout.contains("updated"), "{}", again.stdout);
    let after = (function(&platform, "web").await?, function(&platform, "worker").await?);
    assert!(after == before, "a second deploy changed {} or {}", after.0, after.1);

    // An overlay changes one setting, and removed settings have their defaults again.
    let overlay = "functions:\n  web:\n    memory: 128\n    environment: { COLOUR: blue }\n    reserved:\n";
    let overlay = written(&platform, "staging.yaml", overlay)?;
    let differs = run(&platform, "diff", &[&file, &overlay]).await?;
    assert_eq!(differs.code, Some(2));
    for line in ["memory: 256 -> 128", "environment.COLOUR: \"red\" -> \"blue\"", "reserved: 512 -> (none)"] {
        assert!(differs.stdout.contains(line), "{line} is not in {}", differs.stdout);
    }
    assert!(function(&platform, "web").await? == before.0, "a diff changes nothing");
    assert!(run(&platform, "deploy", &[&file, &overlay]).await?.ok);
    assert_eq!(platform.get("web", "/env?COLOUR").await?.text().await?, "blue");
    assert!(run(&platform, "diff", &[&file, &overlay]).await?.ok);
    platform.stop().await
}

#[tokio::test]
async fn secrets_are_declared_by_name_and_settings_left_out_are_taken_away() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let value = written(&platform, "value", "s3cr3t-word")?;
    platform.cli_json(&["secret", "set", "db", "--file", &value]).await?;
    let base = "project: shop\nfunctions:\n  web:\n    image: hello:v1\n    timeout: 30\n";
    let given = "    tmp: 64\n    secrets: { DB_PASSWORD: db }\n    secret_files: { tls/key.pem: db@1 }\n";
    let file = written(&platform, "sampan.yaml", &format!("{base}{given}"))?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    assert_eq!(platform.get("web", "/env?DB_PASSWORD").await?.text().await?, "s3cr3t-word");
    assert_eq!(platform.get("web", "/read?/run/secrets/tls/key.pem").await?.text().await?, "s3cr3t-word");
    let same = run(&platform, "diff", &[&file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let exported = tools::run_ok(&mut platform.cli(&["export"])).await?;
    assert!(exported.contains("DB_PASSWORD: db") && !exported.contains("s3cr3t-word"), "{exported}");

    let bare = written(&platform, "bare.yaml", base)?;
    assert!(run(&platform, "deploy", &[&bare]).await?.ok);
    let own = &function(&platform, "web").await?["Sampan"];
    assert_eq!((&own["TmpMb"], &own["SecretFiles"]), (&json!(0), &json!([])));
    let unknown = written(&platform, "unknown.yaml", &format!("{base}    secrets: {{ A: missing }}\n"))?;
    let refused = run(&platform, "deploy", &[&unknown]).await?;
    assert!(!refused.ok && refused.stderr.contains("sampan secret set"), "{}", refused.stderr);
    platform.stop().await
}

#[tokio::test]
async fn a_failure_names_its_item_and_leaves_the_others_done() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let text = "project: shop\nfunctions:\n  bad: { image: missing:v1 }\n  good: { image: hello:v1, timeout: 30 }\n  \
                wrong: { image: hello:v1, memory: 100 }\n";
    let file = written(&platform, "sampan.yaml", text)?;
    let failed = run(&platform, "deploy", &[&file]).await?;
    assert!(!failed.ok);
    assert!(failed.stdout.contains("function good: created"), "{}", failed.stdout);
    assert!(failed.stderr.contains("2 of 3 items failed: function bad, function wrong"), "{}", failed.stderr);
    assert!(failed.stderr.contains("function wrong: failed") && failed.stderr.contains("100"), "{}", failed.stderr);
    assert!(platform.get("good", "/").await?.status().is_success());
    assert!(failed.stderr.contains("The other items are as declared"), "{}", failed.stderr);
    let foreign = written(&platform, "foreign.yaml", &text.replace("project: shop", "project: other"))?;
    let compared = run(&platform, "diff", &[&foreign]).await?;
    assert!(!compared.ok && compared.stderr.contains("nothing was changed"), "{}", compared.stderr);

    // After the correction the same file deploys in full.
    tools::run_ok(&mut platform.cli(&["deploy", "extra", "--image", "hello:v1", "--timeout", "30"])).await?;
    let mended = text.replace("missing:v1", "hello:v1").replace("memory: 100", "memory: 128");
    let file = written(&platform, "sampan.yaml", &mended)?;
    let done = run(&platform, "deploy", &[&file]).await?;
    assert!(done.ok && done.stdout.contains("function bad: updated"), "{}{}", done.stdout, done.stderr);
    assert!(run(&platform, "diff", &[&file]).await?.ok);
    platform.stop().await
}

#[tokio::test]
async fn a_typing_error_is_refused_before_anything_is_changed() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let file =
        written(&platform, "sampan.yaml", "project: shop\nfunctions:\n  f:\n    image: hello:v1\n    memroy: 1\n")?;
    let refused = run(&platform, "deploy", &[&file]).await?;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("sampan.yaml:5:5: `memroy` is not a known key here"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: Did you mean `memory`?"), "{}", refused.stderr);
    let missing = run(&platform, "deploy", &["/nowhere.yaml"]).await?;
    assert_eq!(missing.code, Some(3));
    let schema = platform.cli_json(&["schema"]).await?;
    assert_eq!(schema["title"], "File");
    platform.stop().await
}

const RELEASED: &str = r#"
project: shop
functions:
  web:
    image: hello:v1
    timeout: 30
    environment:
      COLOUR: ${COLOUR:-red}
    publish: true
    aliases:
      live: { version: newest, description: what users see }
    triggers:
      url: { type: http, qualifier: live, desc: { AuthType: NONE } }
  worker:
    image: hello:v1
    type: event
    timeout: 30
    versions:
      1: { image: hello:v1, timeout: 10 }
      3: { image: hello:v1, timeout: 20 }
    aliases:
      both: { version: 1, weights: { 3: 0.25 } }
    triggers:
      nightly: { cron: 0 3 * * *, zone: UTC, argument: go, qualifier: both }
domains:
  shop.example.com:
    routes: { /*: web:live }
"#;

#[tokio::test]
async fn versions_aliases_triggers_and_domains_become_what_a_file_declares() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", RELEASED)?;
    let differs = run(&platform, "diff", &[&file]).await?;
    assert_eq!(differs.code, Some(2), "{}{}", differs.stdout, differs.stderr);
    assert_eq!(platform.cli_json(&["list"]).await?, json!([]), "a diff changes nothing");
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    for line in ["version web:1: created", "alias web:live: created", "version worker:3: created", "trigger nightly"] {
        assert!(made.stdout.contains(line), "{line} is not in {}", made.stdout);
    }
    let state = async || -> anyhow::Result<Value> {
        Ok(json!([
            function(&platform, "web").await?,
            function(&platform, "worker").await?,
            platform.cli_json(&["alias", "list", "web"]).await?,
            platform.cli_json(&["alias", "list", "worker"]).await?,
            platform.cli_json(&["trigger", "list", "worker"]).await?,
            platform.cli_json(&["trigger", "list", "web"]).await?,
        ]))
    };
    let before = state().await?;
    let same = run(&platform, "diff", &[&file]).await?;
    assert!(same.ok && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    let again = run(&platform, "deploy", &[&file]).await?;
    assert!(again.ok && !again.stdout.contains("updated") && !again.stdout.contains("created"), "{}", again.stdout);
    assert_eq!(state().await?, before, "a second deploy changes nothing");

    // Changed functions are published, and the alias follows.
    let blue = written(&platform, "blue.yaml", &RELEASED.replace("COLOUR:-red", "COLOUR:-blue"))?;
    let moved = run(&platform, "deploy", &[&blue]).await?;
    assert!(moved.ok && moved.stdout.contains("version web:2: created"), "{}{}", moved.stdout, moved.stderr);
    assert!(moved.stdout.contains("alias web:live: updated"), "{}", moved.stdout);
    // A published version cannot be changed.
    let changed = written(&platform, "changed.yaml", &RELEASED.replace("timeout: 20", "timeout: 21"))?;
    let refused = run(&platform, "deploy", &[&changed]).await?;
    assert!(refused.stderr.contains("version 3 of worker is published and cannot be changed"), "{}", refused.stderr);
    platform.stop().await
}

#[tokio::test]
async fn only_what_a_project_made_is_pruned_and_deleted() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    tools::run_ok(&mut platform.cli(&["deploy", "other", "--image", "hello:v1", "--timeout", "30"])).await?;
    let file = written(&platform, "sampan.yaml", RELEASED)?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    let by_hand = ["trigger", "create", "worker", "mine", "--cron", "0 4 * * *"];
    tools::run_ok(&mut platform.cli(&by_hand)).await?;
    let (head, _) = RELEASED.split_once("    aliases:\n      both").expect("it is there");
    let less = written(&platform, "less.yaml", head)?;
    // Without --prune all objects remain.
    assert!(run(&platform, "deploy", &[&less]).await?.ok);
    assert_eq!(platform.cli_json(&["trigger", "list", "worker"]).await?.as_array().map(Vec::len), Some(2));
    let prune = ["deploy", "--prune", "-f", &less];
    let pruned = tools::run(&mut platform.cli(&prune)).await?;
    assert!(pruned.ok, "{}{}", pruned.stdout, pruned.stderr);
    for line in
        ["domain shop.example.com: removed", "trigger nightly of worker:both: removed", "alias worker:both: removed"]
    {
        assert!(pruned.stdout.contains(line), "{line} is not in {}", pruned.stdout);
    }
    let left = platform.cli_json(&["trigger", "list", "worker"]).await?;
    assert_eq!((left.as_array().map(Vec::len), &left[0]["TriggerName"]), (Some(1), &json!("mine")));

    // Another project's file does not change them.
    let foreign = written(&platform, "foreign.yaml", &head.replace("project: shop", "project: blog"))?;
    let refused = run(&platform, "deploy", &[&foreign]).await?;
    assert!(!refused.ok && refused.stderr.contains("belongs to the project shop"), "{}", refused.stderr);
    assert!(refused.stderr.contains("skipped: alias web:live"), "{}", refused.stderr);
    assert!(run(&platform, "delete", &[&foreign]).await?.ok);

    let deleted = run(&platform, "delete", &[&file]).await?;
    assert!(deleted.ok, "{}{}", deleted.stdout, deleted.stderr);
    let listed = platform.cli_json(&["list"]).await?;
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["FunctionName"]), (Some(1), &json!("other")));
    platform.stop().await
}

/// Pushes one folder, with its times, to both platforms, so that the images are equal.
async fn push_same(first: &Platform, second: &Platform) -> anyhow::Result<()> {
    let folder = images::hello_folder()?;
    for platform in [first, second] {
        platform.push_folder(folder.path(), &["/hello"], "hello:v1").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_export_makes_an_empty_installation_the_same() -> anyhow::Result<()> {
    let (first, second) = (Platform::start().await?, Platform::start().await?);
    push_same(&first, &second).await?;
    let file = written(&first, "sampan.yaml", RELEASED)?;
    let made = run(&first, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    let exported = tools::run_ok(&mut first.cli(&["export"])).await?;
    let copy = written(&second, "copy.yaml", &exported)?;
    let copied = run(&second, "deploy", &[&copy]).await?;
    assert!(copied.ok, "{exported}\n{}{}", copied.stdout, copied.stderr);
    let again = tools::run_ok(&mut second.cli(&["export"])).await?;
    assert!(again == exported, "{exported}\nis not\n{again}");
    assert!(exported.contains("project: shop") && exported.contains("shop.example.com"), "{exported}");
    let same = run(&first, "diff", &[&copy]).await?;
    assert!(same.ok, "{}{}", same.stdout, same.stderr);
    second.stop().await?;
    first.stop().await
}

const HOOKED: &str = r#"
project: shop
functions:
  web:
    image: hello:v1
    timeout: 30
    environment: { COLOUR: red }
    publish: true
    provisioned: { number: 1 }
    triggers:
      hook: { type: webhook, desc: { Scheme: bearer, Secrets: [first-secret-of-the-hook] } }
"#;

#[tokio::test]
async fn another_secret_and_instances_of_an_older_version_are_noticed() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let file = written(&platform, "sampan.yaml", HOOKED)?;
    let made = run(&platform, "deploy", &[&file]).await?;
    assert!(made.ok, "{}{}", made.stdout, made.stderr);
    assert!(run(&platform, "diff", &[&file]).await?.ok);

    let other = written(&platform, "other.yaml", &HOOKED.replace("first-secret", "second-secret"))?;
    let differs = run(&platform, "diff", &[&other]).await?;
    assert_eq!(differs.code, Some(2), "{}{}", differs.stdout, differs.stderr);
    assert!(differs.stdout.contains("desc.Secrets") && !differs.stdout.contains("second-secret"), "{}", differs.stdout);
    assert!(run(&platform, "deploy", &[&other]).await?.ok);
    assert!(run(&platform, "diff", &[&other]).await?.ok);

    // A newly published version takes over the provisioned instances.
    let blue = HOOKED.replace("COLOUR: red", "COLOUR: blue");
    let blue = written(&platform, "blue.yaml", &blue)?;
    let moved = run(&platform, "deploy", &[&blue]).await?;
    assert!(moved.ok && moved.stdout.contains("provisioned instances of web:1: updated"), "{}", moved.stdout);
    assert!(run(&platform, "diff", &[&blue]).await?.ok);
    let exported = tools::run_ok(&mut platform.cli(&["export"])).await?;
    assert_eq!(exported.matches("provisioned:").count(), 1, "{exported}");
    platform.stop().await
}

const EVERYTHING: &str = r#"
project: shop
functions:
  all:
    image: hello:v1
    timeout: 30
    memory: 256
    cpu: 0.5
    shm: 16
    tmp: 64
    nofile: 2048
    pids: 64
    mounts: ["scratch/a:/data:ro"]
    egress: [10.0.0.0/8, "192.0.2.1:53"]
    environment: { MULTI: "two\nlines $$x", QUOTE: "it's", YES: 'yes', NUM: 007, EMPTY: '' }
    secrets: { DB_PASSWORD: db, OLD: db@1 }
    secret_files: { tls/key.pem: db }
    session: { source: cookie, name: visitor, ttl: 600 }
    description: 'a: "b" # c'
    stop_grace: 3
    reserved: 512
    tags: { owner: 'me: too' }
    triggers:
      url: { type: http, desc: { AuthType: NONE, CorsConfig: { Enable: true, Origins: ['*'] } } }
      hook: { type: webhook, paused: true, rate: 5, concurrency: 2, desc: { Scheme: bearer, Secrets: ["${HOOK:-a-secret-of-this-hook}"] } }
  work:
    image: hello:v1
    type: event
    timeout: 30
    events: { retries: 0, ttl: 600 }
    on_failure: fn:sink
    versions: { 2: { image: hello:v1, timeout: 10, environment: { A: b } }, 3: { image: hello:v1, timeout: 20 } }
    aliases:
      some: { version: 2, weights: { 3: 0.25 }, description: both }
      by: { version: 3, match: { version: 2, header: x-key, exact: 7 } }
    triggers:
      often: { cron: 0 */5 * * * * *, zone: Europe/Berlin, argument: "a\tb", max_age: 60 }
      same: { name: often, cron: 0 0 1 * * * *, qualifier: some }
      open: { type: cloudevents, desc: { Scheme: none } }
  sink: { image: hello:v1, type: event, timeout: 30 }
domains:
  all.example.com:
    routes: { /*: all, /w/*: { function: work:some, rewrites: [{ path: /w/*, to: /$ }] } }
"#;

#[tokio::test]
async fn an_export_of_everything_is_the_same_on_a_second_installation() -> anyhow::Result<()> {
    let (first, second) = (Platform::start().await?, Platform::start().await?);
    let mut exports = Vec::new();
    push_same(&first, &second).await?;
    for platform in [&first, &second] {
        let value = written(platform, "value", "s3cr3t-word")?;
        tools::run_ok(&mut platform.cli(&["secret", "set", "db", "--file", &value])).await?;
        tools::run_ok(&mut platform.cli(&["volume", "create", "scratch"])).await?;
        let text = exports.last().map_or(EVERYTHING, String::as_str);
        let text = text.replace("${ALL_HOOK_SECRETS_0:?the secret is not exported}", "a-secret-of-this-hook");
        let file = written(platform, "sampan.yaml", &text)?;
        let made = run(platform, "deploy", &[&file]).await?;
        assert!(made.ok, "{text}\n{}{}", made.stdout, made.stderr);
        let same = run(platform, "diff", &[&file]).await?;
        assert!(same.ok, "{}{}", same.stdout, same.stderr);
        exports.push(tools::run_ok(&mut platform.cli(&["export"])).await?);
    }
    assert!(exports[0] == exports[1], "{}\nis not\n{}", exports[0], exports[1]);
    second.stop().await?;
    first.stop().await
}
