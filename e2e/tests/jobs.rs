//! Job images and runs that answer with their id: one instance for each event, and how it ended in
//! the event's state.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, images, tools, wait};
use serde_json::{Value, json};

/// Invokes a function, waits for the end of its run, and returns its id and state.
async fn run(platform: &Platform, function: &str, event: &Value) -> anyhow::Result<(String, Value)> {
    let body = json!({"FunctionName": function, "ClientContext": event.to_string()});
    let answer = platform.api.call("Invoke", body).await?;
    let id = answer["Result"]["FunctionRequestId"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&answer["Result"]["RetMsg"], &answer["Result"]["InvokeResult"]), (&json!(""), &json!(0)));
    let state = ended(platform, &id).await?;
    Ok((id, state))
}

async fn status(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    Ok(platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?["Result"].clone())
}

async fn ended(platform: &Platform, id: &str) -> anyhow::Result<Value> {
    wait::until(&format!("event {id} ends"), || async {
        let state = status(platform, id).await?;
        Ok((state["Status"] != "RUNNING").then_some(state))
    })
    .await
}

/// The log of a run, as it is now.
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
    platform.deploy("job", "job:v1", &["--job", "--timeout", "1"]).await?;
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
