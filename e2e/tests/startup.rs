//! Starting and stopping: errors of the machine or the settings name a remedy, and a clean stop
//! leaves no leftovers.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::os::unix::fs::DirBuilderExt;

use anyhow::Context;
use e2e::{Platform, leftovers, tools, wait};

/// Runs `sampan up` with settings that must be rejected, and returns its error.
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
async fn a_misspelt_variable_is_named_at_the_start() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut command = tools::command(&tools::sampan().display().to_string());
    // The start fails at the occupied port, after the warning.
    command
        .args(["up", "--control-addr", &taken.local_addr()?.to_string(), "--data-dir"])
        .arg(work.path().join("data"));
    command.env("SAMPAN_LOG", "off").env("SAMPAN_POOL__KEEP_IDLE", "60");
    let said = tools::run(&mut command).await?;
    let warning = "warning: SAMPAN_POOL__KEEP_IDLE is not a setting and has no effect";
    assert!(!said.ok && said.stderr.contains(warning), "{}", said.stderr);
    Ok(())
}

#[tokio::test]
async fn a_key_file_that_is_a_pipe_without_a_writer_is_refused_at_once() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let pipe = work.path().join("pipe");
    tools::run_ok(tools::command("mkfifo").arg(&pipe)).await?;
    for (variable, setting) in [
        ("SAMPAN_SECRETS_KEY_FILE", "SAMPAN_SECRETS_KEY_FILE"),
        ("SAMPAN_SECRETS__KEY_FILE", "[secrets] key_file"),
        ("SAMPAN_CONTROL__METRICS_TOKEN_FILE", "[control] metrics_token_file"),
        ("SAMPAN_CONFIG", "the configuration file"),
    ] {
        let mut command = tools::command(&tools::sampan().display().to_string());
        command.args(["up", "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0", "--data-dir"]);
        let said = tools::run(command.arg(work.path().join("data")).env(variable, &pipe)).await?;
        let is_named = said.stderr.contains(setting) && said.stderr.contains(&pipe.display().to_string());
        assert!(said.code == Some(2) && is_named, "{variable}: {}", said.stderr);
        assert!(said.stderr.contains("not a regular file"), "{}", said.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_start_without_root_is_refused() -> anyhow::Result<()> {
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
async fn a_client_without_a_platform_reports_where_it_looked() -> anyhow::Result<()> {
    let endpoint = format!("http://127.0.0.1:{}", tools::free_port()?);
    let mut command = tools::command(&tools::sampan().display().to_string());
    command.args(["list", "--endpoint", &endpoint, "--secret-id", "a", "--secret-key", "b"]);
    let said = tools::run(&mut command).await?;
    assert!(said.stderr.contains(&endpoint) && said.stderr.contains("hint: "), "{}", said.stderr);
    Ok(())
}

#[tokio::test]
async fn variables_of_a_kubernetes_service_are_ignored_and_misspelt_ones_named() -> anyhow::Result<()> {
    let env = [
        ("SAMPAN_PORT", "tcp://10.96.0.7:7070"),
        ("SAMPAN_PORT_7070_TCP_ADDR", "10.96.0.7"),
        ("SAMPAN_SERVICE_HOST", "10.96.0.7"),
        ("SAMPAN_GATEWAY_PORT", "tcp://10.96.0.8:7080"),
        ("SAMPAN_POOL__KEEP_IDLE", "5"),
    ];
    let platform = Platform::start_with(&env).await?;
    let log = platform.platform_log();
    assert!(log.contains("SAMPAN_POOL__KEEP_IDLE"), "{log}");
    assert!(env[..4].iter().all(|(name, _)| !log.contains(&format!("{name}\""))), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn an_unspecified_address_is_never_shown_as_one_to_call() -> anyhow::Result<()> {
    let platform = Platform::start_at(&[], "0.0.0.0:0", "0.0.0.0:0").await?;
    for url in [&platform.control, &platform.gateway] {
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    }
    let kept = std::fs::read_to_string(platform.data_dir().join("credentials.toml"))?;
    assert!(kept.contains(&platform.control), "the file of credentials has another endpoint");
    let gateway = async |host: &str| -> anyhow::Result<String> {
        let health = platform.http.get(format!("{}/healthz", platform.control)).header("host", host).send().await?;
        Ok(health.json::<serde_json::Value>().await?["gateway"].as_str().context("a gateway")?.to_owned())
    };
    let port = platform.gateway.rsplit(':').next().context("a port")?;
    // A client that used another name of the machine gets gateway URLs with that name.
    assert_eq!(gateway("sampan.example:7070").await?, format!("http://sampan.example:{port}"));
    assert_eq!(gateway("127.0.0.1:7070").await?, platform.gateway);
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    platform.stop().await
}

/// Required capabilities by setpriv's names.
fn needed() -> anyhow::Result<Vec<String>> {
    let said = std::process::Command::new("setpriv")
        .args(["--bounding-set", "-all", "--inh-caps", "-all"])
        .arg(tools::sampan())
        .args(["doctor", "--output", "json"])
        .output()?;
    let checks: serde_json::Value = serde_json::from_slice(&said.stdout)?;
    let all = checks.as_array().context("a list")?;
    let check = all.iter().find(|check| check["name"] == "capabilities").context("it is looked at")?;
    let found = check["found"].as_str().and_then(|found| found.strip_prefix("lacks ")).context("all are lacking")?;
    Ok(found.split(", ").map(str::to_lowercase).collect())
}

#[tokio::test]
async fn doctors_capabilities_are_sufficient_and_all_necessary() -> anyhow::Result<()> {
    let needed = needed()?;
    let set = format!("-all,{}", needed.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(","));
    let platform = Platform::start_through(&["setpriv", "--bounding-set", &set, "--inh-caps", &set], &[]).await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    platform.stop().await?;
    assert!(
        needed.iter().any(|name| name == "sys_chroot") && !needed.iter().any(|name| name == "net_raw"),
        "{needed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_late_start_failure_leaves_no_cgroup() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let data = work.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data)?;
    // A file at the path of the directory that is opened last.
    std::fs::write(data.join("results"), "")?;
    let addresses = ["--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0"];
    let said = up_fails(&[&["--data-dir", &data.display().to_string()], &addresses[..]].concat()).await?;
    assert!(said.contains("results"), "{said}");
    let id = std::fs::read_to_string(data.join("sandbox/id"))?;
    let name = format!("sampan-{}", id.split(' ').next().context("an id")?);
    assert_eq!(leftovers::of(&data, Some(&name)), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_restart_right_after_a_kill_waits_for_the_dying_process() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    for _ in 0..3 {
        assert_eq!(platform.get("hello", "/").await?.status(), 200);
        platform = platform.kill_and_restart().await?;
    }
    platform.stop().await
}

#[tokio::test]
async fn requests_in_flight_get_the_whole_grace_at_shutdown() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_SHUTDOWN_GRACE_S", "60")]).await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--timeout", "60"]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    // Longer than the former fixed wait of the gateway.
    let url = platform.url("hello", "/sleep?21000");
    let answer = tokio::spawn(platform.http.get(url).send());
    begun(&platform).await?;
    platform.stop().await?;
    assert_eq!(answer.await??.status(), 200);
    Ok(())
}

/// Waits until the gateway has received a second request.
async fn begun(platform: &Platform) -> anyhow::Result<()> {
    wait::until("a request is under way", || async {
        let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
        Ok(metrics.contains("sampan_gateway_requests_total{protocol=\"http1\"} 2").then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_second_signal_ends_the_platform_at_once() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--timeout", "60"]).await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    let answer = tokio::spawn(platform.http.get(platform.url("hello", "/sleep?50000")).send());
    begun(&platform).await?;
    let status = platform.terminate_twice().await?;
    assert_eq!(status.code(), Some(128 + 15), "{status}");
    // The instance ends first, so the failure may still reach the caller.
    assert!(answer.await?.map_or(true, |answer| !answer.status().is_success()), "it was cut off");
    let cgroup = platform.cgroup_name();
    wait::until("the instances end", || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) }).await?;
    let platform = platform.restart().await?;
    assert_eq!(platform.get("hello", "/").await?.status(), 200);
    platform.stop().await
}

#[tokio::test]
async fn images_keep_their_names_when_the_control_port_changes() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    let image = format!("{}/hello:v1", platform.registry());
    platform.kill().await?;
    let platform = platform.restart_at("127.0.0.1:0").await?;
    assert!(!image.starts_with(&format!("{}/", platform.registry())), "it has the same port");
    // The function's image is pulled again after a change, and for other functions.
    platform.deploy("hello", &image, &["--memory", "256"]).await?;
    platform.deploy("other", &image, &[]).await?;
    for function in ["hello", "other"] {
        assert_eq!(platform.get(function, "/").await?.status(), 200, "{function}");
    }
    platform.stop().await
}
