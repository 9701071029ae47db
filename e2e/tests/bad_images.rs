//! Images that cannot be deployed or started: each fails with an error that names the cause, and
//! leaves no partial state.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Folder, Platform, images, tools, wait};
use serde_json::{Value, json};

fn create(name: &str, uri: &str) -> Value {
    let code = json!({"ImageConfig": {"ImageType": "personal", "ImageUri": uri}});
    json!({"FunctionName": name, "Type": "HTTP", "InitTimeout": 3, "Code": code})
}

/// Creates a function whose preparation must fail, and returns `(code, message)` of the reason.
async fn create_fails(platform: &Platform, request: Value) -> anyhow::Result<(String, String)> {
    let name = request["FunctionName"].as_str().unwrap_or_default().to_owned();
    platform.api.call("CreateFunction", request).await?;
    wait::until(&format!("{name} fails"), || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": name})).await?;
        anyhow::ensure!(found["Status"] != "Active", "{name} is active");
        let text = |field: &str| found["StatusReasons"][0][field].as_str().unwrap_or_default().to_owned();
        Ok((found["Status"] == "CreateFailed").then(|| (text("ErrorCode"), text("ErrorMessage"))))
    })
    .await
}

#[tokio::test]
async fn an_unavailable_image_fails_with_its_cause() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let own = platform.registry().to_owned();
    let nobody = format!("127.0.0.1:{}", tools::free_port()?);
    let (_, message) = create_fails(&platform, create("no-tag", &format!("{own}/hello:v9"))).await?;
    assert!(message.contains("v9"), "{message}");
    let (_, message) = create_fails(&platform, create("no-image", &format!("{own}/nothing:v1"))).await?;
    assert!(message.contains("nothing"), "{message}");
    let (_, message) = create_fails(&platform, create("no-registry", &format!("{nobody}/hello:v1"))).await?;
    assert!(message.contains(&nobody), "{message}");
    // A function whose creation failed can be deleted; calls to it return the reason.
    let (code, _) = platform.api.refused("Invoke", json!({"FunctionName": "no-tag"})).await?;
    assert_eq!(code, "FailedOperation.FunctionStatusError");
    tools::run_ok(&mut platform.cli(&["delete", "no-tag"])).await?;
    let deploy = tools::run(&mut platform.cli(&["deploy", "cli", "--image", "hello:v9"])).await?;
    assert!(!deploy.ok && deploy.stderr.contains("error: ") && deploy.stderr.contains("v9"), "{}", deploy.stderr);
    platform.stop().await
}

#[tokio::test]
async fn an_image_of_another_architecture_is_refused() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layout = images::hello_layout(platform.work_dir()).await?;
    let script = tools::workspace().join("e2e/clients/edit_layout.py");
    tools::run_ok(tools::command("python3").arg(script).arg(&layout)).await?;
    tools::run_ok(&mut platform.cli(&["push", &layout.display().to_string(), "arm:v1"])).await?;
    let uri = format!("{}/arm:v1", platform.registry());
    let (_, message) = create_fails(&platform, create("arm", &uri)).await?;
    assert!(message.contains("arm64") && message.contains("amd64"), "{message}");
    platform.stop().await
}

#[tokio::test]
async fn an_image_without_a_command_is_refused_unless_the_function_has_one() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layout = images::hello_layout(platform.work_dir()).await?;
    let script = tools::workspace().join("e2e/clients/edit_layout.py");
    tools::run_ok(tools::command("python3").arg(script).arg(&layout).arg("no-entrypoint")).await?;
    tools::run_ok(&mut platform.cli(&["push", &layout.display().to_string(), "nocmd:v1"])).await?;
    let uri = format!("{}/nocmd:v1", platform.registry());
    let (_, message) = create_fails(&platform, create("nocmd", &uri)).await?;
    assert!(message.contains("ENTRYPOINT") && message.contains("Command"), "{message}");
    platform.deploy("withcmd", "nocmd:v1", &["--command", "/hello"]).await?;
    assert!(platform.get("withcmd", "/").await?.status().is_success());
    platform.stop().await
}

/// Deploys an image that can be prepared but not started. The start check must fail with this code;
/// without the check a call must return `(status, errorMessage)`.
async fn start_fails(
    platform: &Platform,
    name: &str,
    folder: &Folder,
    entry: &[&str],
    flags: &[&str],
    code: &str,
) -> anyhow::Result<(u16, String)> {
    let image = format!("{name}:v1");
    platform.push_folder(folder.path(), entry, &image).await?;
    let mut all = vec!["--init-timeout", "3"];
    all.extend(flags);
    let refused = platform.deploy(&format!("{name}-checked"), &image, &all).await.expect_err("it cannot start");
    let refused = format!("{refused:#}").replace(r#"\""#, "\"");
    all.push("--no-start-check");
    platform.deploy(name, &image, &all).await?;
    let answer = platform.get(name, "/").await?;
    let status = answer.status().as_u16();
    let body: Value = answer.json().await?;
    assert_eq!(body["statusCode"], status, "{body}");
    let message = body["errorMessage"].as_str().unwrap_or_default();
    let first = message.lines().next().unwrap_or_default();
    assert!(refused.contains("CreateFailed") && refused.contains(code) && refused.contains(first), "{refused}");
    Ok((status, message.to_owned()))
}

#[tokio::test]
async fn an_image_that_cannot_start_returns_the_contracts_status() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let folder = images::hello_folder()?;
    let port = ["--env", "PORT=8080"];
    let (status, message) =
        start_fails(&platform, "wrong-port", &folder, &["/hello"], &port, "PortBindingFailed").await?;
    assert_eq!(status, 446, "{message}");
    assert!(message.contains("9000") && message.contains("8080"), "{message}");
    let (status, message) =
        start_fails(&platform, "no-file", &folder, &["/nothing"], &[], "ContainerInitError").await?;
    assert_eq!(status, 445, "{message}");
    assert!(!message.contains("/nothing"), "what is in the image is for its owner: {message}");
    folder.write("script", b"no program at all")?;
    let (status, message) =
        start_fails(&platform, "no-program", &folder, &["/script"], &[], "ContainerInitError").await?;
    assert_eq!(status, 445, "{message}");
    let exits = ["--env", "EXIT_AT_START=3"];
    let (status, message) =
        start_fails(&platform, "exits", &folder, &["/hello"], &exits, "ContainerStateExited").await?;
    assert_eq!(status, 405, "{message}");
    assert!(message.contains("code 3") && !message.contains("EXIT_AT_START"), "{message}");
    assert!(platform.platform_log().lines().all(|line| !line.contains("panicked")), "{}", platform.platform_log());
    platform.stop().await
}
