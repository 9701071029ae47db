//! The official Python SDK and tccli through a function's life cycle.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools};
use serde_json::Value;

#[tokio::test]
async fn the_python_sdk_manages_a_functions_life_cycle() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let folder = e2e::images::hello_folder()?;
    folder.write("second", b"another image")?;
    platform.push_folder(folder.path(), &["/hello"], "hello:v2").await?;
    let registry = platform.registry();
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/sdk.py"));
    sdk.args([registry, &platform.api.secret_id, &platform.api.secret_key]);
    sdk.args([format!("{registry}/hello:v1"), format!("{registry}/hello:v2")]);
    let said = tools::run_ok(&mut sdk).await?;
    assert_eq!(said.trim(), "ok");
    platform.stop().await
}

/// Runs tccli with the platform's endpoint and key pair.
async fn tccli(platform: &Platform, args: &[&str]) -> anyhow::Result<tools::ProgramOutput> {
    let mut command = tools::command(&tools::python().with_file_name("tccli").display().to_string());
    command.arg("scf").args(args).args(["--endpoint", &platform.control]);
    command.env("TENCENTCLOUD_SECRET_ID", &platform.api.secret_id);
    command.env("TENCENTCLOUD_SECRET_KEY", &platform.api.secret_key);
    command.env("TENCENTCLOUD_REGION", "local").env("HOME", platform.work_dir());
    tools::run(&mut command).await
}

async fn tccli_json(platform: &Platform, args: &[&str]) -> anyhow::Result<Value> {
    let said = tccli(platform, args).await?;
    anyhow::ensure!(said.ok, "tccli {args:?}: {}{}", said.stdout, said.stderr);
    Ok(serde_json::from_str(&said.stdout)?)
}

#[tokio::test]
async fn tccli_manages_a_functions_life_cycle() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let image = format!("{}/hello:v1", platform.registry());
    let code = format!(r#"{{"ImageConfig":{{"ImageType":"personal","ImageUri":"{image}"}}}}"#);
    let name = ["--FunctionName", "hello"];
    tccli_json(
        &platform,
        &["CreateFunction", name[0], name[1], "--MemorySize", "128", "--Timeout", "10", "--Code", &code],
    )
    .await?;
    let waiter = r#"{"expr":"Status","to":"Active","timeout":60,"interval":1}"#;
    let active = tccli(&platform, &["GetFunction", name[0], name[1], "--waiter", waiter, "--filter", "Status"]).await?;
    assert!(active.stdout.contains("Active"), "{}{}", active.stdout, active.stderr);
    let invoke = ["Invoke", name[0], name[1], "--ClientContext", r#"{"k":1}"#, "--LogType", "Tail"];
    let answer = tccli_json(&platform, &invoke).await?;
    assert!(answer["Result"]["RetMsg"].as_str().is_some_and(|m| m.contains(r#""k":1"#)), "{answer}");
    assert!(answer["Result"]["Log"].as_str().is_some_and(|l| l.contains("Report RequestId")), "{answer}");
    let logs = tccli_json(&platform, &["GetFunctionLogs", name[0], name[1]]).await?;
    assert_eq!(logs["TotalCount"], 1, "{logs}");
    tccli_json(&platform, &["UpdateFunctionConfiguration", name[0], name[1], "--MemorySize", "256"]).await?;
    platform.api.wait_status("hello", &["Active"]).await?;
    tccli_json(&platform, &["UpdateFunctionCode", name[0], name[1], "--Code", &code]).await?;
    platform.api.wait_status("hello", &["Active"]).await?;
    tccli_json(&platform, &["DeleteFunction", name[0], name[1]]).await?;
    // An API error causes exit code 255 and one line, which tccli parses only when the content type
    // is exactly application/json.
    let gone = tccli(&platform, &["Invoke", name[0], name[1]]).await?;
    assert!(
        !gone.ok && format!("{}{}", gone.stdout, gone.stderr).contains("ResourceNotFound.Function"),
        "{}",
        gone.stderr
    );
    platform.stop().await
}
