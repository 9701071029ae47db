//! Job images, and runs that return their id: one instance per event, whose exit determines the
//! event's state.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, images, tools, wait};
use serde_json::{Value, json};

/// Invokes a function, waits for the end of its run, and returns its id and state.
async fn run(platform: &Platform, function: &str, event: &Value) -> anyhow::Result<(String, Value)> {
    let body = json!({"FunctionName": function, "ClientContext": event.to_string()});
    let answer = platform.api.call("Invoke", body).await?;
    let id = answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&answer["Result"]["RetMsg"], &answer["Result"]["InvokeResult"]), (&json!(""), &json!(0)));
    let state = ended_state(platform, &id).await?;
    Ok((id, state))
}

async fn status(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?["Result"].clone())
}

async fn ended_state(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    wait::until(&format!("event {id} ends"), || async {
        let state = status(platform, id).await?;
        Ok((state["Status"] != "RUNNING").then_some(state))
    })
    .await
}

/// The current log of a run.
async fn log(platform: &Platform, function: &str, id: &str) -> anyhow::Result<String> {
    Ok(platform.api.log_of(function, id).await?["Log"].as_str().unwrap_or_default().to_owned())
}

/// A platform with the image `job:v1`.
async fn with_job_image() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    let folder = images::hello_folder()?;
    platform.push_folder(folder.path(), &["/hello", "job"], "job:v1").await?;
    Ok(platform)
}

#[tokio::test]
async fn each_event_of_a_job_image_is_one_instance_whose_end_is_in_its_state() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job", "--timeout", "30"]).await?;

    let (id, state) = run(&platform, "job", &json!({"film": 7})).await?;
    assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("FINISHED"), &json!(200)), "{state}");
    assert_eq!((&state["ExitCode"], &state["OutOfMemory"]), (&json!(0), &json!(false)), "{state}");
    let text = log(&platform, "job", &id).await?;
    assert!(text.contains("event of 10 bytes: {\"film\":7}") && text.contains("the last words"), "{text}");

    let (id, state) = run(&platform, "job", &json!({"route": "exit?3"})).await?;
    assert_eq!(
        (&state["Status"], &state["StatusCode"], &state["ExitCode"]),
        (&json!("FAILED"), &json!(439), &json!(3))
    );
    assert!(state["ErrorMessage"].as_str().is_some_and(|why| why.contains("exit code 3")), "{state}");
    let text = log(&platform, "job", &id).await?;
    assert!(text.contains("the last words") && text.contains("END RequestId"), "{text}");

    let (_, state) = run(&platform, "job", &json!({"route": "abort?0"})).await?;
    assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("FAILED"), &json!(439)), "{state}");
    assert!(state["ExitSignal"].is_i64() && state["ExitCode"].is_null(), "{state}");

    let (_, state) = run(&platform, "job", &json!({"route": "alloc?300"})).await?;
    assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("FAILED"), &json!(434)), "{state}");
    assert_eq!(state["OutOfMemory"], json!(true), "{state}");
    platform.stop().await
}

#[tokio::test]
async fn a_job_over_its_time_limit_fails_and_has_its_output_in_the_log() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    // Long enough for a slow machine to start the program and to have its first line.
    platform.deploy("job", "job:v1", &["--job", "--timeout", "5"]).await?;
    let (id, state) = run(&platform, "job", &json!({"route": "sleep?60000"})).await?;
    assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("FAILED"), &json!(433)), "{state}");
    let text = log(&platform, "job", &id).await?;
    assert!(text.contains("event of") && !text.contains("the last words"), "{text}");
    platform.stop().await
}

#[tokio::test]
async fn an_event_that_no_variable_holds_is_refused_when_it_comes() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job", "--timeout", "30"]).await?;
    let event = |bytes: usize| json!("x".repeat(bytes - 2));
    let (_, state) = run(&platform, "job", &event(131_044)).await?;
    assert_eq!(state["Status"], "FINISHED", "{state}");
    for kind in ["Event", "RequestResponse"] {
        let context = event(131_045).to_string();
        let body = json!({"FunctionName": "job", "InvocationType": kind, "ClientContext": context});
        let (code, message) = platform.api.refused("Invoke", body).await?;
        assert_eq!(code, "InvalidParameter.RequestTooLarge");
        assert!(message.contains("at most 131044 are allowed in a job image"), "{message}");
    }
    platform.stop().await
}

#[tokio::test]
async fn what_means_nothing_for_a_job_image_is_refused() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job"]).await?;
    let (code, message) = platform
        .api
        .refused(
            "UpdateFunctionConfiguration",
            json!({
                "FunctionName": "job", "InstanceConcurrencyConfig": {"DynamicEnabled": "FALSE", "MaxConcurrency": 2},
            }),
        )
        .await?;
    assert!(code.starts_with("InvalidParameterValue"), "{code}: {message}");
    platform.api.call("PublishVersion", json!({"FunctionName": "job"})).await?;
    platform.api.wait_status("job", &["Active"]).await?;
    let provision = json!({"FunctionName": "job", "Qualifier": "1", "VersionProvisionedConcurrencyNum": 1});
    let (code, message) = platform.api.refused("PutProvisionedConcurrencyConfig", provision).await?;
    assert!(code == "InvalidParameterValue" && message.contains("is a job image"), "{code}: {message}");
    let web = tools::run(&mut platform.cli(&["deploy", "web", "--image", "job:v1", "--job", "--type", "web"])).await?;
    assert!(!web.ok && web.stderr.contains("a job image has no server"), "{}", web.stderr);
    let answer = platform.get("job", "/").await?;
    assert_eq!(answer.status(), 436);
    let text = answer.text().await?;
    assert!(text.contains("is a job image (ImagePort -1), which answers no requests"), "{text}");
    platform.stop().await
}

#[tokio::test]
async fn commands_run_job_images() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job", "--timeout", "30"]).await?;
    let id = tools::run_ok(&mut platform.cli(&["invoke", "job", "--data", r#"{"route": "exit?3"}"#])).await?;
    let failed = tools::run(&mut platform.cli(&["events", "wait", id.trim()])).await?;
    assert!(!failed.ok && failed.stdout.contains("FAILED (439): User process exit"), "{}", failed.stdout);
    assert!(failed.stdout.contains("exit code 3"), "{}", failed.stdout);
    platform.stop().await
}

#[tokio::test]
async fn a_job_runs_without_a_function_of_its_own_and_its_command_ends_as_it_does() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    let mut job = platform.cli(&["job", "run", "job:v1", "--wait", "--env", "A=1"]);
    let done = tools::run(job.args(["--", "two words", "--flag"])).await?;
    assert!(done.ok, "{}", done.stderr);
    let lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines, ["word two words", "word --flag", "event of 2 bytes: {}", "the last words"]);

    let failing = ["job", "run", "job:v1", "--wait", "--data", r#"{"route": "exit?7"}"#];
    let failed = tools::run(&mut platform.cli(&failing)).await?;
    assert_eq!(failed.code, Some(7), "{}", failed.stderr);
    assert!(failed.stderr.contains("exit code 7") && failed.stdout.contains("the last words"), "{}", failed.stderr);
    // The id comes first, so that the run can be terminated or looked up meanwhile.
    let id = failed.stderr.lines().next().unwrap_or_default();
    assert_eq!(id.len(), 36, "{}", failed.stderr);
    let state = tools::run(&mut platform.cli(&["events", "wait", id])).await?;
    assert!(state.stdout.contains("exit code 7"), "{}", state.stdout);
    let mut documents = platform.cli(&["job", "run", "job:v1", "--wait", "--output", "json"]);
    let documents = tools::run_ok(&mut documents).await?;
    let documents = serde_json::Deserializer::from_str(&documents).into_iter::<Value>();
    let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
    let [first, lines @ .., state] = documents.as_slice() else { anyhow::bail!("{documents:?}") };
    assert!(first["function"].as_str().is_some_and(|name| name.starts_with("job-")), "{first}");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["request_id"] == first["id"]), "{documents:?}");
    assert_eq!((&state["id"], &state["Status"]), (&first["id"], &json!("FINISHED")), "{documents:?}");

    let slow = ["job", "run", "job:v1", "--wait", "--timeout", "1", "--data", r#"{"route": "sleep?60000"}"#];
    let slow = tools::run(&mut platform.cli(&slow)).await?;
    assert_eq!(slow.code, Some(124), "{}", slow.stderr);
    let missing = tools::run(&mut platform.cli(&["job", "run", "nothing:v1", "--wait"])).await?;
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert!(missing.stderr.contains("cannot be run"), "{}", missing.stderr);

    let kept = platform.cli_json(&["job", "run", "job:v1", "--keep"]).await?;
    let (id, function) = (kept["id"].as_str().unwrap_or_default(), kept["function"].as_str().unwrap_or_default());
    let shown = tools::run_ok(&mut platform.cli(&["get", function])).await?;
    assert!(shown.contains("async run       TRUE") && !shown.contains("temporary"), "{shown}");
    let state = tools::run_ok(&mut platform.cli(&["events", "wait", id.trim()])).await?;
    assert_eq!(state.trim(), "FINISHED (200)");
    wait::until("only the kept function is there", || async {
        let functions = platform.api.call("ListFunctions", json!({})).await?;
        Ok((functions["TotalCount"] == 1).then_some(()))
    })
    .await?;
    platform.stop().await
}

#[tokio::test]
async fn each_job_of_an_array_has_its_place_and_runs_once() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    let done = tools::run(&mut platform.cli(&["job", "run", "job:v1", "--count", "4", "--wait"])).await?;
    assert!(done.ok, "{}", done.stderr);
    let mut places: Vec<_> = done.stdout.lines().filter(|line| line.starts_with("index ")).collect();
    places.sort_unstable();
    let wanted: Vec<_> = (0..4).map(|index| format!("index {index} of 4, attempt 1")).collect();
    assert_eq!(places, wanted);

    // An array of one also has an index.
    let one = tools::run(&mut platform.cli(&["job", "run", "job:v1", "--count", "1", "--wait"])).await?;
    assert!(one.stdout.contains("index 0 of 1, attempt 1"), "{}", one.stdout);
    let alone = tools::run(&mut platform.cli(&["job", "run", "job:v1", "--wait"])).await?;
    assert!(alone.ok && !alone.stdout.contains("index "), "{}", alone.stdout);

    let odd = ["job", "run", "job:v1", "--count", "3", "--wait", "--keep", "--data", r#"{"route": "odd?1"}"#];
    let failed = tools::run(&mut platform.cli(&odd)).await?;
    assert_eq!(failed.code, Some(4), "{}", failed.stderr);
    assert!(failed.stderr.contains("1 of 3 jobs failed"), "{}", failed.stderr);
    // A redriven dead letter keeps its index, and its attempts start at 1.
    let letters = platform.cli_json(&["events", "dead-letters"]).await?;
    let letter = &letters["dead_letters"][0];
    assert!(!letter["result"].as_str().unwrap_or_default().contains("cannot be redriven"), "{letter}");
    let (id, function) = (letter["id"].as_str().unwrap_or_default(), letter["function"].as_str().unwrap_or_default());
    tools::run_ok(&mut platform.cli(&["events", "redrive", id])).await?;
    ended_state(&platform, id).await?;
    let text = tools::run_ok(&mut platform.cli(&["logs", function])).await?;
    assert_eq!(text.matches("index 1 of 3, attempt 1").count(), 2, "{text}");

    for count in ["0", "1001"] {
        let refused = tools::run(&mut platform.cli(&["job", "run", "job:v1", "--count", count])).await?;
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    }
    platform.stop().await
}

#[tokio::test]
async fn the_dead_letter_of_a_throw_away_function_says_that_it_cannot_be_redriven() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    let failing = ["job", "run", "job:v1", "--wait", "--data", r#"{"route": "exit?7"}"#];
    let failed = tools::run(&mut platform.cli(&failing)).await?;
    assert!(!failed.stderr.contains("cannot be redriven"), "{}", failed.stderr);
    let letters = platform.cli_json(&["events", "dead-letters"]).await?;
    let said = letters["dead_letters"][0]["result"].as_str().unwrap_or_default();
    assert!(said.contains("exit code 7; this cannot be redriven") && said.contains("--keep"), "{said}");
    platform.stop().await
}

#[tokio::test]
async fn the_function_of_a_job_goes_although_its_client_was_killed() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    let image = format!("{}/job:v1", platform.registry());
    let created = json!({
        "FunctionName": "left", "Type": "Event", "AsyncRunEnable": "TRUE",
        "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image, "ImagePort": -1}},
        "Tags": [{"Key": "sampan:temporary", "Value": "1"}],
    });
    platform.api.call("CreateFunction", created).await?;
    wait::until("the platform deletes it", || async {
        let functions = platform.api.call("ListFunctions", json!({})).await?;
        Ok((functions["TotalCount"] == 0).then_some(()))
    })
    .await?;
    platform.stop().await
}

#[tokio::test]
async fn a_long_run_is_waited_for_when_the_platform_is_to_stop() -> anyhow::Result<()> {
    let mut platform = Platform::start_with(&[("SAMPAN_DRAIN_S", "60"), ("SAMPAN_SHUTDOWN_GRACE_S", "1")]).await?;
    platform.push_hello().await?;
    platform.deploy("long", "hello:v1", &["--type", "event", "--async-run", "--timeout", "86400"]).await?;
    let body = json!({"FunctionName": "long", "ClientContext": json!({"route": "sleep?4000"}).to_string()});
    let answer = platform.api.call("Invoke", body).await?;
    let id = answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
    wait::until("it runs", || async {
        let log = tools::run_ok(&mut platform.cli(&["logs", "long", "--request-id", &id])).await?;
        Ok(log.contains("POST /event-invoke").then_some(()))
    })
    .await?;
    let ended = platform.terminate().await?;
    anyhow::ensure!(ended.success(), "{ended}");
    let platform = platform.restart().await?;
    let state = ended_state(&platform, &id).await?;
    assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("FINISHED"), &json!(200)), "{state}");
    platform.stop().await
}

#[tokio::test]
async fn a_long_run_that_the_platform_cuts_off_fails_or_runs_again_as_its_function_says() -> anyhow::Result<()> {
    let mut platform = Platform::start_with(&[("SAMPAN_SHUTDOWN_GRACE_S", "1")]).await?;
    platform.push_hello().await?;
    let long = ["--type", "event", "--async-run", "--timeout", "3600"];
    platform.deploy("once", "hello:v1", &long).await?;
    platform.deploy("again", "hello:v1", &[&long[..], &["--rerun"]].concat()).await?;
    let mut ids = Vec::new();
    // The one that is not run again may last: it is cut off. The other one is repeated whole.
    for (function, route) in [("once", "sleep?3000000"), ("again", "sleep?15000")] {
        let body = json!({"FunctionName": function, "ClientContext": json!({"route": route}).to_string()});
        let answer = platform.api.call("Invoke", body).await?;
        let id = answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
        wait::until("it runs", || async {
            let log = tools::run_ok(&mut platform.cli(&["logs", function, "--request-id", &id])).await?;
            Ok(log.contains("POST /event-invoke").then_some(()))
        })
        .await?;
        ids.push(id);
    }
    let ended = platform.terminate().await?;
    anyhow::ensure!(ended.success(), "{ended}");
    let log = platform.platform_log();
    assert!(log.contains("exceeds the grace period; aborting it") && log.contains(&ids[0]), "{log}");
    let platform = platform.restart().await?;
    let once = ended_state(&platform, &ids[0]).await?;
    assert_eq!((&once["Status"], &once["StatusCode"]), (&json!("FAILED"), &json!(500)), "{once}");
    assert!(once["ErrorMessage"].as_str().is_some_and(|why| why.contains("platform ended during the run")), "{once}");
    let again = ended_state(&platform, &ids[1]).await?;
    assert_eq!(again["Status"], "FINISHED", "{again}");
    platform.stop().await
}

#[tokio::test]
async fn a_job_that_is_terminated_is_aborted_once_nothing_of_it_runs() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job", "--timeout", "300"]).await?;
    for graceful in [false, true] {
        let body = json!({"FunctionName": "job", "ClientContext": json!({"route": "sleep?300000"}).to_string()});
        let answer = platform.api.call("Invoke", body).await?;
        let id = answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
        wait::until("it runs", || async {
            let log = tools::run_ok(&mut platform.cli(&["logs", "job", "--request-id", &id])).await?;
            Ok(log.contains("event of").then_some(()))
        })
        .await?;
        let end = json!({"FunctionName": "job", "InvokeRequestId": id, "GraceShutdown": graceful});
        platform.api.call("TerminateAsyncEvent", end).await?;
        let state = ended_state(&platform, &id).await?;
        assert_eq!((&state["Status"], &state["StatusCode"]), (&json!("ABORTED"), &json!(499)), "{state}");
        let text = log(&platform, "job", &id).await?;
        assert!(text.contains("event of") && !text.contains("the last words"), "{text}");
        let usage = platform.api.call("ListAsyncEvents", json!({"FunctionName": "job", "Status": ["RUNNING"]})).await?;
        assert_eq!(usage["TotalCount"], 0, "{usage}");
    }
    platform.stop().await
}

#[tokio::test]
async fn what_a_short_job_prints_is_in_its_log_when_its_state_is_final() -> anyhow::Result<()> {
    let platform = with_job_image().await?;
    platform.deploy("job", "job:v1", &["--job", "--timeout", "60"]).await?;
    for _ in 0..10 {
        let (id, state) = run(&platform, "job", &json!({"route": "print?200"})).await?;
        assert_eq!(state["Status"], "FINISHED", "{state}");
        let lines = platform.cli_json_lines(&["logs", "job", "--request-id", &id]).await?;
        let printed = |stream: &str| lines.iter().filter(|line| line["stream"] == stream).count();
        // One line for the event precedes the printed lines, and one follows them.
        assert_eq!((printed("stdout"), printed("stderr")), (202, 200));
    }
    platform.stop().await
}
