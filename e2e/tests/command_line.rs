//! The CLI's handling of pipes, arguments and errors.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::process::Stdio;

use anyhow::Context;
use e2e::{Platform, tools, wait};
use serde_json::{Value, json};
use tokio::process::Command;

/// A command that needs no platform.
fn sampan(args: &[&str]) -> Command {
    let mut command = tools::command(&tools::sampan().display().to_string());
    command.args(args);
    command
}

#[tokio::test]
async fn a_closed_pipe_ends_the_command_quietly() -> anyhow::Result<()> {
    for args in [&["config"][..], &["config", "--output", "json"], &["--help"], &["deploy", "--help"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let done = tools::output_of(sampan(args).stdout(writer).stderr(Stdio::piped()).spawn()?).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.is_empty(), "{args:?} said {said}");
        assert!(matches!(done.status.code(), Some(0 | 141)), "{args:?} ended with {}", done.status);
    }
    Ok(())
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error() -> anyhow::Result<()> {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let done = tools::output_of(sampan(&["config"]).stdout(full).stderr(Stdio::piped()).spawn()?).await?;
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot write to standard output: No space left on device"), "{said}");
    Ok(())
}

#[tokio::test]
async fn config_prints_the_settings_and_fails_where_up_would() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("sampan.toml");
    let config = |text: &str| {
        std::fs::write(&file, text)?;
        let mut command = sampan(&["config", "--config"]);
        command.arg(&file);
        anyhow::Ok(command)
    };
    let right = tools::run(&mut config("[events]\nlease_s = 30\n")?).await?;
    assert!(right.ok && right.stderr.is_empty(), "{}", right.stderr);
    let wrong = tools::output(&mut config("[events]\nlease_s = 0\n")?).await?;
    let (printed, said) = (String::from_utf8_lossy(&wrong.stdout), String::from_utf8_lossy(&wrong.stderr));
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: events.lease_s = 0 is not allowed"), "{said}");
    let row = printed.lines().find(|line| line.starts_with("events.lease_s "));
    assert!(row.is_some_and(|row| row.contains("sampan.toml")), "{printed}");
    Ok(())
}

#[tokio::test]
async fn errors_are_json_with_output_json() -> anyhow::Result<()> {
    let nowhere = ["--credentials", "/nowhere/credentials.toml"];
    for (args, code, exit) in [(&["list"][..], "Connection", 5), (&["deploy"], "Usage", 2), (&["nonsense"], "Usage", 2)]
    {
        let done = tools::output(sampan(args).args(nowhere).args(["--output", "json"])).await?;
        assert_eq!(done.status.code(), Some(exit), "{args:?}");
        assert!(done.stdout.is_empty(), "{args:?}");
        let said: Value = serde_json::from_slice(&done.stderr)
            .with_context(|| format!("{args:?} said {}", String::from_utf8_lossy(&done.stderr)))?;
        assert_eq!((&said["code"], &said["exit_code"]), (&code.into(), &exit.into()), "{said}");
        assert!(said["message"].as_str().is_some_and(|message| !message.is_empty()), "{said}");
        assert!(said["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn arguments_of_a_command_keep_their_quotes() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let argv = async |name: &str| anyhow::Ok(platform.get(name, "/args").await?.text().await?);
    platform.deploy("quoted", "hello:v1", &["--args", r#"-c "a b" '' --x="1 2""#]).await?;
    assert_eq!(argv("quoted").await?, "/hello\n-c\na b\n\n--x=1 2");
    platform
        .deploy("array", "hello:v1", &["--command", r#"["/hello","c d"]"#, "--args", r#"["-e", "f \"g\""]"#])
        .await?;
    assert_eq!(argv("array").await?, "/hello\nc d\n-e\nf \"g\"");
    platform.deploy("plain", "hello:v1", &["--command", "/hello  -m", "--args", "-n 1"]).await?;
    assert_eq!(argv("plain").await?, "/hello\n-m\n-n\n1");
    let image = platform.cli_json(&["get", "plain"]).await?["ImageConfig"].clone();
    assert_eq!((&image["Command"], &image["CommandList"]), (&json!("/hello  -m"), &json!([])));

    // The API returns the values unchanged, and the function runs.
    let code = json!({"ImageConfig": {
        "ImageType": "personal", "ImageUri": image["ImageUri"], "CommandList": ["/hello", "h i"], "ArgsList": ["-j"],
    }});
    platform.api.call("UpdateFunctionCode", json!({"FunctionName": "plain", "Code": code})).await?;
    wait::until("the function is active", || async {
        let shown = platform.api.call("GetFunction", json!({"FunctionName": "plain"})).await?;
        Ok((shown["Status"] == "Active").then_some(()))
    })
    .await?;
    platform.cli_json(&["deploy", "plain", "--memory", "256"]).await?;
    assert_eq!(argv("plain").await?, "/hello\nh i\n-j");
    let shown = tools::run_ok(&mut platform.cli(&["get", "plain"])).await?;
    assert!(shown.contains(r#"["/hello","h i"]"#) && shown.contains(r#"["-j"]"#), "{shown}");
    let open = ["deploy", "plain", "--args", "'a"];
    let refused = tools::run(&mut platform.cli(&open)).await?;
    assert!(!refused.ok && refused.stderr.contains("is not closed"), "{}", refused.stderr);
    platform.stop().await
}

#[tokio::test]
async fn a_deploy_keeps_settings_without_flags() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let port = async |name: &str| anyhow::Ok(platform.get(name, "/env?PORT").await?.text().await?);
    platform.deploy("usual", "hello:v1", &[]).await?;
    assert_eq!(port("usual").await?, "9000");
    let flags = ["--port", "8123", "--args", "-x 'y z'", "--concurrency", "7", "--session", "header:X-Session"];
    platform.deploy("web", "hello:v1", &flags).await?;
    assert_eq!(port("web").await?, "8123");
    let image = |shown: &Value| {
        let mut image = shown["ImageConfig"].clone();
        image["ImageUri"] = json!(null);
        image
    };
    let before = platform.cli_json(&["get", "web"]).await?;
    for change in [
        &["--image", "hello:v1"][..],
        &["--timeout", "9"],
        &["--concurrency", "9"],
        &["--command", "/hello"],
        &["--args", ""],
        &["--port", "8124"],
    ] {
        platform.cli_json(&[&["deploy", "web"], change].concat()).await?;
    }
    let after = platform.cli_json(&["get", "web"]).await?;
    let mut wanted = image(&before);
    wanted["Command"] = json!("/hello");
    wanted["ArgsList"] = json!([]);
    wanted["ImagePort"] = json!(8124);
    assert_eq!(image(&after), wanted);
    let mut concurrency = before["InstanceConcurrencyConfig"].clone();
    concurrency["MaxConcurrency"] = json!(9);
    assert_eq!(after["InstanceConcurrencyConfig"], concurrency);
    assert_eq!(port("web").await?, "8124");
    platform.stop().await
}

#[tokio::test]
async fn an_update_of_alias_or_provisioning_keeps_settings_without_flags() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--memory", "128"]).await?;
    for _ in 0..2 {
        platform.cli_json(&["publish", "web"]).await?;
    }
    platform.cli_json(&["alias", "create", "web", "prod", "--version", "1", "--weight", "2=0.25"]).await?;
    let led = platform.cli_json(&["alias", "update", "web", "prod", "--description", "-x"]).await?;
    assert_eq!((&led["FunctionVersion"], &led["Description"]), (&json!("1"), &json!("-x")), "{led}");
    let led = platform.cli_json(&["alias", "update", "web", "prod", "--weight", "2=0.5"]).await?;
    assert_eq!((&led["FunctionVersion"], &led["Description"]), (&json!("1"), &json!("-x")), "{led}");
    assert_eq!(led["RoutingConfig"]["AdditionalVersionWeights"][0]["Weight"], 0.5, "{led}");
    let led = platform.cli_json(&["alias", "update", "web", "prod", "--version", "2"]).await?;
    assert_eq!(led["RoutingConfig"]["AdditionalVersionWeights"], json!([]), "{led}");

    let yearly = "0 0 0 1 1 * *=1";
    platform.cli_json(&["provision", "web:1", "--number", "1", "--at", yearly]).await?;
    let kept = platform.cli_json(&["provision", "web:1", "--number", "2"]).await?;
    assert_eq!(kept["provisioned"][0]["TriggerActions"][0]["TriggerCronConfig"], "0 0 0 1 1 * *", "{kept}");
    let kept = platform.cli_json(&["provision", "web:1", "--no-at"]).await?;
    assert_eq!(kept["provisioned"][0]["AllocatedProvisionedConcurrencyNum"], 2, "{kept}");
    assert_eq!(kept["provisioned"][0]["TriggerActions"], json!([]), "{kept}");
    platform.stop().await
}

#[tokio::test]
async fn a_closed_port_error_names_the_open_and_the_expected_port() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let deployed = platform.deploy("own", "hello:v1", &["--env", "PORT=8080", "--init-timeout", "2"]).await;
    let said = format!("{:#}", deployed.expect_err("it does not listen"));
    assert!(said.contains("the process listens on 0.0.0.0:8080;"), "{said}");
    assert!(said.contains("port 9000 of 0.0.0.0, [::], 127.0.0.1 or [::1]"), "{said}");
    // The hint resolves the failure.
    platform.cli_json(&["deploy", "own", "--port", "8080"]).await?;
    assert_eq!(platform.get("own", "/env?PORT").await?.text().await?, "8080");
    platform.stop().await
}

#[tokio::test]
async fn hints_name_commands_and_api_errors_have_their_code() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (args, hint) in [
        (&["get", "nobody"][..], "`sampan list`"),
        (&["delete", "nobody"], "`sampan list`"),
        (&["domain", "get", "nobody.example.com"], "`sampan domain list`"),
    ] {
        let said = tools::run(&mut platform.cli(args)).await?;
        let shown = said.stderr.split_once("hint: ").map(|(_, hint)| hint.to_owned()).unwrap_or_default();
        assert!(shown.contains(hint), "{args:?}: {}", said.stderr);
    }
    let wrong = ["deploy", "fresh", "--image", "hello:v1", "--memory", "100"];
    let said = tools::run(&mut platform.cli(&wrong)).await?;
    assert!(said.stderr.contains("--memory: 100 MB is not allowed"), "{}", said.stderr);
    let said = tools::run(platform.cli(&["get", "nobody"]).args(["--output", "json"])).await?;
    let error: Value = serde_json::from_str(&said.stderr).with_context(|| said.stderr.clone())?;
    assert_eq!((&error["code"], &error["exit_code"]), (&json!("ResourceNotFound.Function"), &json!(3)), "{error}");
    assert!(error["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{error}");
    platform.stop().await
}

#[tokio::test]
async fn one_version_is_deleted_and_removed_variables_are_noted() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--env", "A=1", "--env", "B=2"]).await?;
    for version in 1..=2 {
        tools::run_ok(&mut platform.cli(&["publish", "hello"])).await?;
        let described = format!("version {version}");
        tools::run_ok(&mut platform.cli(&["deploy", "hello", "--description", &described])).await?;
    }
    tools::run_ok(&mut platform.cli(&["delete", "hello:1"])).await?;
    let gone = tools::run(&mut platform.cli(&["invoke", "hello:1"])).await?;
    assert!(!gone.ok && gone.stderr.contains("1"), "{gone:?}");
    tools::run_ok(&mut platform.cli(&["invoke", "hello:2"])).await?;
    let latest = tools::run(&mut platform.cli(&["delete", "hello:$LATEST"])).await?;
    assert!(!latest.ok && latest.stderr.contains("cannot be deleted alone"), "{latest:?}");
    let tip = tools::run(&mut platform.cli(&["invoke", "hello", "--version", "2"])).await?;
    assert!(!tip.ok && tip.stderr.contains("NAME:VERSION"), "{tip:?}");
    let deployed = tools::run(&mut platform.cli(&["deploy", "hello", "--env", "A=3"])).await?;
    assert!(deployed.ok && deployed.stderr.contains("note: removes B:"), "{deployed:?}");
    platform.stop().await
}

#[tokio::test]
async fn a_name_that_is_not_there_is_answered_with_those_that_are() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--type", "event"]).await?;
    platform.cli_json(&["trigger", "create", "hello", "nightly", "--cron", "0 3 * * *"]).await?;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (args, code, hint) in [
        (&["invoke", "helo"][..], 3, "Did you mean `hello`?"),
        (&["invoke", "hello:prod"], 3, "Existing in function hello: $LATEST"),
        (&["invoke", "nothing-like-it"], 3, "Existing in namespace default: hello."),
        (&["invoke", "hello", "--namespace", "defaul"], 3, "Did you mean `default`?"),
        (&["logs", "helo"], 3, "Did you mean `hello`?"),
        (&["delete", "helo"], 3, "`sampan list` shows all."),
        (&["publish", "helo"], 3, "Did you mean `hello`?"),
        (&["alias", "list", "helo"], 3, "Did you mean `hello`?"),
        (&["trigger", "create", "helo", "t", "--cron", "0 3 * * *"], 3, "Did you mean `hello`?"),
        (&["trigger", "list", "helo"], 3, "Did you mean `hello`?"),
        (&["trigger", "delete", "hello", "nigthly"], 3, "Did you mean `nightly`?"),
        (&["trigger", "test", "hello", "other"], 3, "Existing in function hello: nightly."),
        (&["trigger", "next", "hello:1", "nightly"], 3, "another type, version or alias"),
        (&["events", "list", "helo"], 3, "Did you mean `hello`?"),
        (&["events", "config", "helo"], 3, "Did you mean `hello`?"),
        (&["events", "get", "BAD-ID"], 2, "`sampan events list FUNCTION`"),
        (&["events", "get", unknown], 3, "`sampan events list FUNCTION`"),
        (&["events", "terminate", unknown], 3, "`sampan events list FUNCTION`"),
    ] {
        let done = tools::output(&mut platform.cli(args)).await?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{args:?}: {said}");
        let shown = said.split_once("hint: ").map(|(_, hint)| hint.to_owned()).unwrap_or_default();
        assert!(shown.contains(hint), "{args:?}: {said}");
    }
    platform.stop().await
}

/// A trigger whose function has the bucket's name in its settings is created with a warning.
#[tokio::test]
async fn a_trigger_that_may_trigger_itself_is_made_with_a_warning() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--type", "event", "--env", "OUTPUT=s3://films/out/"]).await?;
    for (name, filter, warned) in [("all", "", true), ("in", "in/", false)] {
        let desc = json!({"Bucket": "films", "filter": {"Prefix": filter}, "Secrets": ["a-token-of-some-length"]});
        let desc = desc.to_string();
        let args = ["trigger", "create", "hello", name, "--type", "cos", "--desc", &desc];
        let done = tools::output(&mut platform.cli(&args)).await?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!((done.status.code(), said.contains("warning: the variable OUTPUT")), (Some(0), warned), "{said}");
    }
    platform.stop().await
}

#[tokio::test]
async fn values_over_a_limit_are_wrong_arguments() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let wrong = ["deploy", "fresh", "--image", "hello:v1", "--memory", "900g"];
    let said = tools::output(&mut platform.cli(&wrong)).await?;
    assert_eq!(said.status.code(), Some(2), "{}", String::from_utf8_lossy(&said.stderr));
    platform.stop().await
}

#[tokio::test]
async fn a_wrong_deploy_is_refused_while_the_one_before_it_is_prepared() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    // The server listens on a port other than the one that the start check polls.
    let pending = ["--env", "PORT=8080", "--init-timeout", "200", "--no-wait"];
    platform.deploy("pending", "hello:v1", &pending).await?;
    for (flags, wanted) in [
        (&["--memory", "100"][..], "--memory: 100 MB is not allowed"),
        (&["--timeout", "90000"], "--timeout: 90000 s is not allowed"),
        (&["--type", "event"], "is of type web"),
        (&["--session", "nonsense"], "is not header:NAME"),
        (&["--env", "", "--env", "A=1"], "is not KEY=VALUE"),
        (&["--image", "UPPER:v1"], "UPPER"),
    ] {
        let said = tools::output(&mut platform.cli(&[&["deploy", "pending"], flags].concat())).await?;
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(2) && stderr.contains(wanted), "{flags:?}: {}: {stderr}", said.status);
    }
    let shown = platform.cli_json(&["get", "pending"]).await?;
    assert_eq!((&shown["Status"], &shown["MemorySize"]), (&json!("Creating"), &json!(128)), "nothing was waited for");
    platform.stop().await
}

#[tokio::test]
async fn empty_variables_are_unset() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let mut list = platform.cli(&["list"]);
    for name in ["SAMPAN_ENDPOINT", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_REGION"] {
        list.env(name, "");
    }
    tools::run_ok(&mut list).await?;
    let mut unnamed = sampan(&["list", "--endpoint", "http://127.0.0.1:9"]);
    unnamed.env("SAMPAN_CREDENTIALS", "").env("TENCENTCLOUD_SECRET_ID", "a").env("TENCENTCLOUD_SECRET_KEY", "b");
    let said = tools::output(&mut unnamed).await?;
    assert_eq!(said.status.code(), Some(5), "{}", String::from_utf8_lossy(&said.stderr));
    tools::run_ok(sampan(&["config"]).env("SAMPAN_CONFIG", "").env("SAMPAN_POOL__KEEP_IDLE_S", "")).await?;
    platform.stop().await
}

#[tokio::test]
async fn types_of_functions_have_the_words_of_deploy() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("page", "hello:v1", &["--no-start-check"]).await?;
    for args in [&["list"][..], &["get", "page"]] {
        let shown = tools::run_ok(&mut platform.cli(args)).await?;
        assert!(shown.contains("web") && !shown.contains("HTTP"), "{shown}");
    }
    let said = tools::output(&mut platform.cli(&["invoke", "page:"])).await?;
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(2) && stderr.contains("no qualifier after the colon"), "{stderr}");
    platform.stop().await
}

#[tokio::test]
async fn times_have_the_zone_of_the_machine() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    let told = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?;
    // The CLI prints one of the two times, which may differ by a second.
    let local = [&told["AddTime"], &told["ModTime"]].map(|time| time.as_str().unwrap_or_default().to_owned());
    for (zone, offset) in [("UTC-10", "+10:00"), ("UTC+3", "-03:00")] {
        for command in [&["get", "web"][..], &["list"]] {
            let shown = tools::run_ok(platform.cli(command).env("TZ", zone)).await?;
            let time = shown.split_whitespace().find(|word| word.ends_with(offset));
            let time = time.with_context(|| format!("{zone}: {shown}"))?;
            assert_eq!(time.len(), "2026-11-28T08:15:00+01:00".len(), "{time}");
            // The API's time zone offset is in whole hours.
            let is_told = |local: &String| local.len() > 18 && time.get(13..19) == local.get(13..19);
            assert!(local.iter().any(is_told), "{time} is none of {local:?}");
        }
    }
    platform.stop().await
}

#[tokio::test]
async fn a_failed_deploy_is_retried_by_name() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let failed = tools::run(&mut platform.cli(&["deploy", "late", "--image", "hello:v1"])).await?;
    assert!(!failed.ok, "{}", failed.stdout);
    platform.push_hello().await?;
    tools::run_ok(&mut platform.cli(&["deploy", "late"])).await?;
    assert_eq!(platform.get("late", "/").await?.status(), 200);
    platform.stop().await
}
