//! Calls are routed to a new image or configuration only after an instance of it has started.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, images, leftovers, tools, wait};
use serde_json::{Value, json};

/// Calls during each broken deploy.
const CALLS: usize = 50;

/// Starts a platform with `hello:v1`, and `crash:v1`, which prints the reason for its exit.
async fn platform_with(env: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(env).await?;
    platform.push_hello().await?;
    let folder = images::hello_folder()?;
    folder.write("mark", b"another image")?;
    platform.push_folder(folder.path(), &["/hello"], "marked:v1").await?;
    Ok(platform)
}

fn instances(platform: &Platform) -> Vec<u32> {
    leftovers::processes(&platform.cgroup_name())
}

fn code(platform: &Platform, image: &str) -> Value {
    json!({"ImageConfig": {"ImageType": "personal", "ImageUri": format!("{}/{image}", platform.registry())}})
}

fn environment(key: &str, value: &str) -> Value {
    json!({"Variables": [{"Key": key, "Value": value}]})
}

/// Waits until a change has ended, and returns the function.
async fn settled(platform: &Platform, function: &str) -> anyhow::Result<Value> {
    wait::until(&format!("{function} is settled"), || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": function})).await?;
        let status = found["Status"].as_str().unwrap_or_default();
        Ok(["Active", "CreateFailed", "UpdateFailed"].contains(&status).then_some(found))
    })
    .await
}

async fn answers(platform: &Platform, function: &str) -> anyhow::Result<()> {
    for _ in 0..CALLS {
        let status = platform.get(function, "/").await?.status();
        anyhow::ensure!(status.is_success(), "a call of {function} ended with {status}");
    }
    Ok(())
}

#[tokio::test]
async fn the_instance_of_the_start_check_serves_the_first_call() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    let checked = instances(&platform);
    assert_eq!(checked.len(), 1);
    let answer = platform.get("web", "/").await?;
    let request = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
    assert_eq!(instances(&platform), checked, "the call started none");
    let log = platform.api.log_of("web", &request).await?;
    assert!(!log["Log"].as_str().unwrap_or_default().contains("Init Report"), "{log}");
    // The start check is not an invocation, but its output is in the log.
    let records = platform.api.call("GetFunctionLogs", json!({"FunctionName": "web"})).await?;
    assert_eq!(records["TotalCount"], 1, "{records}");
    let lines = tools::run_ok(&mut platform.cli(&["logs", "web"])).await?;
    assert!(lines.contains("hello listens on port 9000"), "{lines}");

    // After an update the checked instance also serves calls, once the previous instance has ended.
    platform.deploy("web", "marked:v1", &[]).await?;
    wait::until("one is left", || async { Ok((instances(&platform).len() == 1).then_some(())) }).await?;
    let updated = instances(&platform);
    assert_ne!(updated, checked);
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "another image");
    assert_eq!(instances(&platform), updated);
    platform.stop().await
}

#[tokio::test]
async fn a_program_that_ends_right_after_it_listened_does_not_take_over() -> anyhow::Result<()> {
    // Long enough for a busy machine: the program exits after 50 ms.
    let platform = platform_with(&[("SAMPAN_LAUNCHER__START_CHECK_ALIVE_MS", "3000")]).await?;
    let folder = platform.work_dir().join("calls");
    std::fs::create_dir(&folder)?;
    let source = tools::workspace().join("e2e/clients/calls.c");
    let mut cc = tools::command("cc");
    tools::run_ok(cc.args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(folder.join("calls")).arg(source)).await?;
    platform.push_folder(&folder, &["/calls"], "calls:v1").await?;
    platform.deploy("web", "calls:v1", &[]).await?;
    let deploy = tools::run(&mut platform.cli(&["deploy", "web", "--env", "END_AFTER_MS=50"])).await?;
    assert!(!deploy.ok, "{}", deploy.stdout);
    let why = "exited with code 4 right after its server listened on port 9000";
    assert!(deploy.stderr.contains(why) && deploy.stderr.contains("cannot write the pid file"), "{}", deploy.stderr);
    answers(&platform, "web").await?;
    platform.stop().await
}

#[tokio::test]
async fn a_version_that_does_not_start_is_not_routed_to_and_has_a_reason() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    let folder = images::hello_folder()?;
    platform.push_folder(folder.path(), &["/missing"], "missing:v1").await?;
    platform.deploy("web", "hello:v1", &["--init-timeout", "3"]).await?;
    let name = json!({"FunctionName": "web"});
    let update = |action: &'static str, field: &str, value: Value| {
        let mut request = name.clone();
        request[field] = value;
        platform.api.call(action, request)
    };
    // Other settings, another image, a port without a listener.
    for (action, field, value, reason, words) in [
        (
            "UpdateFunctionConfiguration",
            "Environment",
            environment("EXIT_AT_START", "3"),
            "ContainerStateExited",
            "exited with code 3 before its server listened on port 9000. Its last output:\nending with 3",
        ),
        ("UpdateFunctionCode", "Code", code(&platform, "missing:v1"), "ContainerInitError", "/missing"),
        ("UpdateFunctionConfiguration", "Environment", environment("PORT", "8080"), "ContainerInitError", "/missing"),
        ("UpdateFunctionCode", "Code", code(&platform, "hello:v1"), "PortBindingFailed", "listens on 0.0.0.0:8080"),
    ] {
        update(action, field, value.clone()).await?;
        answers(&platform, "web").await?;
        let failed = settled(&platform, "web").await?;
        assert_eq!(failed["Status"], "UpdateFailed", "{value}: {failed}");
        let told = &failed["StatusReasons"][0];
        assert_eq!(told["ErrorCode"], reason, "{told}");
        assert!(told["ErrorMessage"].as_str().unwrap_or_default().contains(words), "{told}");
    }
    // The CLI reports the same reason, and a correct deploy succeeds.
    let said = tools::run(&mut platform.cli(&["deploy", "web", "--env", "EXIT_AT_START=7"])).await?;
    assert!(!said.ok && said.stderr.contains("code 7") && said.stderr.contains("ending with 7"), "{said:?}");
    answers(&platform, "web").await?;
    platform.deploy("web", "marked:v1", &["--env", "A=b"]).await?;
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "another image");
    platform.stop().await
}

#[tokio::test]
async fn image_and_settings_change_atomically() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    let mark = async || platform.get("web", "/read?/mark").await?.text().await.map_err(anyhow::Error::from);
    platform.deploy("web", "hello:v1", &[]).await?;
    // The three changes work only in combination.
    platform.deploy("web", "marked:v1", &["--port", "8080", "--env", "EXIT_AT_START=no"]).await?;
    assert_eq!(mark().await?, "another image");
    let lines = tools::run_ok(&mut platform.cli(&["logs", "web"])).await?;
    let starts = ["port 9000", "port 8080"].map(|port| lines.matches(&format!("hello listens on {port}")).count());
    assert_eq!(starts, [1, 1], "one change, one start: {lines}");

    // A rejected setting leaves the image unchanged, and so does a setting that breaks it.
    let said = tools::run(&mut platform.cli(&["deploy", "web", "--image", "hello:v1", "--timeout", "901"])).await?;
    assert!(!said.ok && said.stderr.contains("901"), "{said:?}");
    assert_eq!(platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?["Status"], "Active");
    let broken = ["deploy", "web", "--image", "hello:v1", "--port", "9000", "--env", "EXIT_AT_START=3"];
    let said = tools::run(&mut platform.cli(&broken)).await?;
    assert!(!said.ok && said.stderr.contains("code 3"), "{said:?}");
    assert_eq!(mark().await?, "another image");
    assert_eq!(platform.get("web", "/env?PORT").await?.text().await?, "8080");
    // Neither took effect: the next deploy changes what is served.
    platform.cli_json(&["deploy", "web", "--env", "A=b"]).await?;
    assert_eq!(mark().await?, "another image");
    assert_eq!(platform.get("web", "/env?PORT").await?.text().await?, "8080");
    platform.stop().await
}

#[tokio::test]
async fn a_deploy_waits_for_the_previous_change() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    platform.deploy("web", "hello:v1", &["--init-timeout", "3"]).await?;
    let request = json!({"FunctionName": "web", "Environment": environment("PORT", "8080")});
    platform.api.call("UpdateFunctionConfiguration", request).await?;
    platform.deploy("web", "marked:v1", &["--env", "A=b"]).await?;
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "another image");
    platform.stop().await
}

#[tokio::test]
async fn a_new_function_is_creating_until_an_instance_has_started() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    let request = json!({
        "FunctionName": "web", "Type": "HTTP", "InitTimeout": 3, "Code": code(&platform, "hello:v1"),
        "Environment": environment("PORT", "8080"),
    });
    platform.api.call("CreateFunction", request).await?;
    wait::until("its instance starts", || async { Ok((instances(&platform).len() == 1).then_some(())) }).await?;
    let found = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?;
    assert_eq!(found["Status"], "Creating", "{found}");
    assert_eq!(platform.get("web", "/").await?.status(), 438);
    let failed = settled(&platform, "web").await?;
    assert_eq!(
        (&failed["Status"], &failed["StatusReasons"][0]["ErrorCode"]),
        (&json!("CreateFailed"), &json!("PortBindingFailed"))
    );
    wait::until("the instance has ended", || async { Ok(instances(&platform).is_empty().then_some(())) }).await?;

    // Without the check the change is active at once, and calls fail.
    let tags = json!([{"Key": "sampan:start-check", "Value": "off"}]);
    let request = json!({
        "FunctionName": "off", "Type": "HTTP", "Code": code(&platform, "hello:v1"), "Tags": tags,
        "Environment": environment("EXIT_AT_START", "3"),
    });
    platform.api.call("CreateFunction", request).await?;
    platform.api.wait_status("off", &["Active"]).await?;
    assert_eq!(platform.get("off", "/").await?.status(), 405);
    platform.deploy("unchecked", "hello:v1", &["--no-start-check", "--env", "EXIT_AT_START=3"]).await?;
    let said = tools::run(&mut platform.cli(&["deploy", "web", "--no-start-check"])).await?;
    assert!(!said.ok && said.stderr.contains("cannot change"), "{said:?}");
    platform.stop().await
}

#[tokio::test]
async fn only_changes_visible_to_instances_are_checked() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    platform.cli_json(&["deploy", "web", "--timeout", "9", "--description", "other"]).await?;
    wait::until("none is left", || async { Ok(instances(&platform).is_empty().then_some(())) }).await?;
    // A disabled function is not started.
    let stopped = json!({"FunctionName": "web", "ReservedConcurrencyMem": 0});
    platform.api.call("PutReservedConcurrencyConfig", stopped).await?;
    platform.cli_json(&["deploy", "web", "--env", "EXIT_AT_START=3"]).await?;
    assert!(instances(&platform).is_empty());
    platform.stop().await
}

#[tokio::test]
async fn an_interrupted_start_check_is_repeated_and_active_versions_are_not_checked() -> anyhow::Result<()> {
    let mut platform = platform_with(&[]).await?;
    platform.deploy("web", "hello:v1", &["--init-timeout", "10"]).await?;
    let request = json!({"FunctionName": "web", "Environment": environment("PORT", "8080")});
    platform.api.call("UpdateFunctionConfiguration", request).await?;
    wait::until("the next one starts", || async { Ok((instances(&platform).len() == 2).then_some(())) }).await?;
    platform.kill().await?;
    let mut platform = platform.restart().await?;
    wait::until("it starts again", || async { Ok((instances(&platform).len() == 1).then_some(())) }).await?;
    answers(&platform, "web").await?;
    assert_eq!(settled(&platform, "web").await?["Status"], "UpdateFailed");
    platform.kill().await?;
    let platform = platform.restart().await?;
    answers(&platform, "web").await?;
    assert_eq!(instances(&platform).len(), 1, "only the one that was called for");
    platform.stop().await
}

#[tokio::test]
async fn a_full_machine_does_not_fail_a_start_check() -> anyhow::Result<()> {
    let env = [("SAMPAN_POOL__MEMORY_MB_MAX", "128"), ("SAMPAN_DEPLOY__START_CHECK_ROOM_WAIT_S", "1")];
    let platform = platform_with(&env).await?;
    platform.deploy("web", "hello:v1", &["--timeout", "60"]).await?;
    let long = tokio::spawn(platform.http.get(platform.url("web", "/sleep?5000")).send());
    platform
        .api
        .call("UpdateFunctionCode", json!({"FunctionName": "web", "Code": code(&platform, "marked:v1")}))
        .await?;
    platform.api.wait_status("web", &["Active"]).await?;
    assert!(long.await??.status().is_success());
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "another image");
    // An idle instance is evicted.
    platform.deploy("other", "hello:v1", &[]).await?;
    wait::until("it has made room", || async { Ok((instances(&platform).len() == 1).then_some(())) }).await?;
    assert!(platform.get("other", "/").await?.status().is_success());
    platform.stop().await
}

#[tokio::test]
async fn a_failed_change_does_not_affect_the_next_one() -> anyhow::Result<()> {
    let platform = platform_with(&[]).await?;
    platform.deploy("web", "hello:v1", &["--env", "A=1"]).await?;
    let failed = ["deploy", "web", "--command", "/missing", "--env", "A=2", "--memory", "256", "--port", "1234"];
    let refused = tools::run(&mut platform.cli(&failed)).await?;
    assert!(!refused.ok, "{refused:?}");
    let shown = tools::run_ok(&mut platform.cli(&["get", "web"])).await?;
    assert!(shown.contains("serving memory  128") && shown.contains("serving env     A=1"), "{shown}");
    // A deploy without changes retries the failed one.
    assert!(!tools::run(&mut platform.cli(&["deploy", "web"])).await?.ok);
    platform.deploy("web", "marked:v1", &[]).await?;
    let function = settled(&platform, "web").await?;
    assert_eq!((&function["MemorySize"], &function["ImageConfig"]["ImagePort"]), (&json!(128), &json!(9000)));
    assert_eq!(function["Environment"], environment("A", "1"));
    assert!(function.get("Serving").is_none(), "{function}");
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "another image");
    platform.stop().await
}
