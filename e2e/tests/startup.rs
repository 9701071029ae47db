//! Starting and stopping: what is wrong with the machine or the settings is named with what to do, and a clean stop
//! leaves nothing behind.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools};

/// Runs `sampan up` with settings that must be refused, and returns what it said.
async fn up_fails(args: &[&str]) -> anyhow::Result<String> {
    let work = tempfile::tempdir()?;
    let mut command = tools::command(&tools::sampan().display().to_string());
    command.arg("up").args(args);
    if !args.contains(&"--data-dir") {
        command.arg("--data-dir").arg(work.path().join("data"));
    }
    let said = tools::run(&mut command).await?;
    anyhow::ensure!(!said.ok, "it came up: {}", said.stdout);
    anyhow::ensure!(said.stderr.contains("error: "), "no error line: {}", said.stderr);
    Ok(said.stderr)
}

#[tokio::test]
async fn an_idle_platform_starts_and_stops_cleanly() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?;
    assert!(metrics.status().is_success());
    platform.stop().await
}

#[tokio::test]
async fn a_platform_whose_log_cannot_be_written_deploys_serves_and_stops() -> anyhow::Result<()> {
    let platform = Platform::start_without_log().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    platform.cli_json(&["delete", "hello"]).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let said = up_fails(&["--control-addr", &address, "--gateway-addr", "127.0.0.1:0"]).await?;
    assert!(said.contains(&address) && said.contains("--control-addr"), "{said}");
    let said = up_fails(&["--control-addr", "127.0.0.1:0", "--gateway-addr", &address]).await?;
    assert!(said.contains(&address) && said.contains("--gateway-addr"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_second_platform_on_the_same_data_directory_is_refused() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let dir = platform.data_dir().display().to_string();
    let said =
        up_fails(&["--data-dir", &dir, "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0"]).await?;
    assert!(said.contains(&dir) && said.contains("--data-dir"), "{said}");
    platform.stop().await
}

#[tokio::test]
async fn a_wrong_setting_is_named() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let file = work.path().join("sampan.toml");
    std::fs::write(&file, "[pool]\nkeep_idle = 60\n")?;
    let said = up_fails(&["--config", &file.display().to_string()]).await?;
    assert!(said.contains("keep_idle"), "{said}");
    let said = up_fails(&["--config", "/nowhere/sampan.toml"]).await?;
    assert!(said.contains("/nowhere/sampan.toml"), "{said}");
    Ok(())
}

#[tokio::test]
async fn somebody_who_is_not_root_is_told_so() -> anyhow::Result<()> {
    // setpriv is part of util-linux, which every Debian has.
    let work = tempfile::tempdir()?;
    let program = work.path().join("sampan");
    std::fs::copy(tools::sampan(), &program)?;
    std::fs::set_permissions(work.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = tools::command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).arg("up");
    let said = tools::run(command.arg("--data-dir").arg(work.path().join("data"))).await?;
    assert!(!said.ok && said.stderr.contains("root"), "{}", said.stderr);
    Ok(())
}

#[tokio::test]
async fn doctor_names_every_feature_and_finds_this_machine_able() -> anyhow::Result<()> {
    let mut command = tools::command(&tools::sampan().display().to_string());
    let said = tools::run_ok(command.args(["doctor", "--output", "json"])).await?;
    let checks: serde_json::Value = serde_json::from_str(&said)?;
    assert!(checks.as_array().is_some_and(|all| all.len() >= 8), "{checks}");
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_platform_is_told_where_it_looked() -> anyhow::Result<()> {
    let endpoint = format!("http://127.0.0.1:{}", tools::free_port()?);
    let mut command = tools::command(&tools::sampan().display().to_string());
    command.args(["list", "--endpoint", &endpoint, "--secret-id", "a", "--secret-key", "b"]);
    let said = tools::run(&mut command).await?;
    assert!(said.stderr.contains(&endpoint) && said.stderr.contains("hint: "), "{}", said.stderr);
    Ok(())
}
