//! The control address and the platform's process under pressure: floods by unauthenticated
//! clients, few descriptors, abrupt termination, and permissions of files.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::ensure;
use e2e::{Platform, leftovers, tools, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UNSIGNED: [&str; 3] = [
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n",
    "POST /admin/registries HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n",
];
const BEGUN: &str = "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ";

async fn begin(platform: &Platform, text: &str) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(platform.registry()).await?;
    socket.write_all(text.as_bytes()).await?;
    Ok(socket)
}

fn open_files(platform: &Platform) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", platform.pid()?))?.count())
}

/// Runs `sampan up` without the right to raise limits, and returns its error.
async fn up_fails(limit: u32, env: &[(&str, &str)], data_dir: &Path) -> anyhow::Result<String> {
    let script = format!("ulimit -Sn {limit}; ulimit -Hn {limit}; exec setpriv --bounding-set=-sys_resource \"$@\"");
    let mut command = tools::command("sh");
    command.args(["-c", &script, "sh"]).arg(tools::sampan()).arg("up");
    command.args(["--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    let said = tools::run(command.envs(env.iter().copied())).await?;
    ensure!(!said.ok, "it came up: {}", said.stdout);
    Ok(said.stderr)
}

#[tokio::test]
async fn unauthenticated_clients_hold_neither_memory_nor_connections() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_CONTROL__CONNECTIONS_MAX", "40")]).await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    let before = open_files(&platform)?;
    let mut held = Vec::new();
    for number in 0..240 {
        let text = UNSIGNED.get(number % 4).unwrap_or(&BEGUN);
        held.push(begin(&platform, text).await?);
    }
    // Signed requests, a call and its cold start succeed during the flood.
    platform.cli_json(&["list"]).await?;
    ensure!(platform.get("hello", "/").await?.status().is_success());
    platform.deploy("second", "hello:v1", &[]).await?;
    ensure!(platform.get("second", "/").await?.status().is_success());
    let now = open_files(&platform)?;
    ensure!(now < before + 40 + 100, "{before} files were open before the flood, {now} are");
    // Complete requests get responses; the oldest of the other connections were evicted.
    for (number, mut socket) in held.into_iter().enumerate().take(160) {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), socket.read_to_end(&mut answer)).await;
        ensure!(ended.is_ok(), "connection {number} is still open after {}", String::from_utf8_lossy(&answer));
    }
    platform.stop().await
}

#[tokio::test]
async fn the_control_address_serves_no_host_of_a_function() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (host, status) in [("web.default.fn.localhost", 421), ("WEB.default.FN.localhost.:80", 421), ("localhost", 200)]
    {
        let answer = platform.http.get(format!("http://{}/healthz", platform.registry())).header("Host", host);
        assert_eq!(answer.send().await?.status(), status, "{host}");
    }
    platform.stop().await
}

#[tokio::test]
async fn incomplete_heads_and_idle_connections_time_out() -> anyhow::Result<()> {
    let times = [("SAMPAN_CONTROL__HEADER_READ_TIMEOUT_S", "1"), ("SAMPAN_CONTROL__IDLE_TIMEOUT_S", "1")];
    let platform = Platform::start_with(&times).await?;
    for text in ["", BEGUN, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut socket = begin(&platform, text).await?;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), socket.read_to_end(&mut Vec::new())).await;
        ensure!(ended.is_ok(), "{text:?} is still open");
    }
    platform.stop().await
}

#[tokio::test]
async fn instances_end_with_a_platform_that_is_killed() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("plain", "hello:v1", &[]).await?;
    platform.deploy("init", "hello:v1", &["--init"]).await?;
    for function in ["plain", "init"] {
        ensure!(platform.get(function, "/").await?.status().is_success());
    }
    let cgroup = platform.cgroup_name();
    ensure!(leftovers::processes(&cgroup).len() >= 2, "both run");
    platform.kill().await?;
    wait::until("no instance is left", || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) }).await?;
    platform.restart().await?.stop().await
}

#[tokio::test]
async fn too_low_a_descriptor_limit_is_refused_at_the_start() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let said = up_fails(256, &[], &work.path().join("a")).await?;
    ensure!(said.contains("limit of open files is 256") && said.contains("LimitNOFILE"), "{said}");
    let more = [("SAMPAN_LAUNCHER__FILES_MAX", "5000")];
    let said = up_fails(4096, &more, &work.path().join("b")).await?;
    ensure!(said.contains("[launcher] files_max") && said.contains("4096"), "{said}");
    Ok(())
}

#[tokio::test]
async fn connection_floods_leave_descriptors_for_calls_and_starts() -> anyhow::Result<()> {
    let script = "ulimit -Sn 1200; ulimit -Hn 1200; exec setpriv --bounding-set=-sys_resource \"$@\"";
    let platform = Platform::start_through(&["sh", "-c", script, "sh"], &[]).await?;
    platform.push_hello().await?;
    platform.deploy("warm", "hello:v1", &[]).await?;
    ensure!(platform.get("warm", "/").await?.status().is_success());
    let mut held = Vec::new();
    for address in [platform.registry(), platform.gateway.trim_start_matches("http://")] {
        for _ in 0..300 {
            let mut socket = TcpStream::connect(address).await?;
            socket.write_all(BEGUN.as_bytes()).await?;
            held.push(socket);
        }
    }
    platform.cli_json(&["list"]).await?;
    ensure!(platform.get("warm", "/").await?.status().is_success());
    platform.deploy("cold", "hello:v1", &["--no-start-check"]).await?;
    ensure!(platform.get("cold", "/").await?.status().is_success());
    let log = platform.platform_log();
    ensure!(!log.contains("accept failed; retrying"), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn metrics_can_require_authentication() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_CONTROL__METRICS", "key")]).await?;
    let url = format!("{}/metrics", platform.control);
    let closed = platform.http.get(&url).send().await?;
    ensure!(closed.status() == 401, "{}", closed.status());
    ensure!(closed.headers().contains_key("www-authenticate"));
    let pair = (&platform.api.secret_id, &platform.api.secret_key);
    let open = platform.http.get(&url).basic_auth(pair.0, Some(pair.1)).send().await?;
    ensure!(open.status().is_success() && open.text().await?.contains("sampan_control_connections"));
    platform.stop().await
}

#[tokio::test]
async fn a_data_directory_open_to_others_is_closed_or_refused() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let foreign = work.path().join("foreign");
    std::fs::create_dir(&foreign)?;
    std::fs::set_permissions(&foreign, PermissionsExt::from_mode(0o755))?;
    std::fs::write(foreign.join("letter.txt"), "not sampan's")?;
    let said = up_fails(65_536, &[], &foreign).await?;
    ensure!(said.contains("has content that is not sampan's") && said.contains("chmod 0700"), "{said}");
    let mut platform = Platform::start().await?;
    std::fs::set_permissions(platform.data_dir(), PermissionsExt::from_mode(0o755))?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    let mode = platform.data_dir().metadata()?.permissions().mode() & 0o7777;
    ensure!(mode == 0o700, "{mode:o}");
    platform.stop().await
}
