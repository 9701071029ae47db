//! Egress of instances, with the real binary on a simulated machine in a network namespace. Needs
//! `ip` (iproute2).
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod gateway;
mod host_ports;
mod ipv6;
mod lists;
mod machine;
mod tls;

use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::Ordering;

use anyhow::Context;
use e2e::{Platform, hostile, images, leftovers, tools, wait};
use serde_json::json;

use crate::machine::{MACHINE, METADATA, NAMED, OUTSIDE, SINK_PORT, WHO_PORT, on_machine, settled, traces};

/// Error numbers (errno(3)) in reports of attacks.
const UNREACHABLE: &str = "error 101";
const REFUSED: &str = "error 111";
const RESET: &str = "error 104";

/// A platform with egress and the hostile image as `out`.
async fn start() -> anyhow::Result<Platform> {
    settled().await?;
    let dns = format!("[\"{OUTSIDE}\"]");
    let env = [("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_NETWORK__DNS", dns.as_str())];
    // The gateway listens on every address of the machine.
    let platform = Platform::start_at(&env, "127.0.0.1:0", "0.0.0.0:0").await?;
    hostile::push(&platform).await?;
    platform.deploy("out", "hostile:v1", &["--timeout", "30"]).await?;
    Ok(platform)
}

async fn attack(platform: &Platform, path: &str) -> anyhow::Result<String> {
    hostile::attack(platform, "out", path).await
}

async fn ask(platform: &Platform, address: &str) -> anyhow::Result<String> {
    attack(platform, &format!("/ask?{address}:{WHO_PORT}")).await
}

/// Enables or disables the function's egress.
async fn public(platform: &Platform, status: &str) -> anyhow::Result<()> {
    let network = json!({"PublicNetStatus": status, "EipConfig": {"EipStatus": "DISABLE"}});
    let config = json!({"FunctionName": "out", "PublicNetConfig": network});
    platform.api.call("UpdateFunctionConfiguration", config).await?;
    platform.api.wait_status("out", &["Active"]).await.map(drop)
}

#[test]
fn an_instance_reaches_the_outside_by_address_and_name_as_the_machine() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE);
        assert_eq!(attack(&platform, "/resolve?database.example.com").await?, NAMED.to_string());
        assert_eq!(ask(&platform, &NAMED.to_string()).await?, MACHINE);
        platform.stop().await
    })
}

#[test]
fn the_machine_its_neighbours_and_the_metadata_are_refused() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        platform.deploy("neighbour", "hostile:v1", &[]).await?;
        hostile::attack(&platform, "neighbour", "/").await?;
        let route = hostile::attack(&platform, "neighbour", "/read?/proc/net/fib_trie").await?;
        let neighbour = own_address(&route).context("the neighbour has an address")?;
        let resolv_conf = attack(&platform, "/read?/etc/resolv.conf").await?;
        let name_server =
            resolv_conf.lines().find_map(|line| line.strip_prefix("nameserver ")).context("it has one")?;
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE, "others are reached");
        for denied in [MACHINE, METADATA, &neighbour] {
            assert_eq!(ask(&platform, denied).await?, REFUSED, "{denied}");
        }
        // The relay for host ports accepts connections and resets those to ports that the function
        // did not declare.
        assert_eq!(ask(&platform, name_server).await?, RESET);
        // Sampan's own addresses, on the instances' gateway address and on loopback.
        let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
        for port in [port(&platform.gateway), port(&platform.control)] {
            assert_eq!(attack(&platform, &format!("/http?{name_server}:{port}/")).await?, RESET, "{port}");
            for address in [MACHINE, "127.0.0.1"] {
                let error = attack(&platform, &format!("/connect?{address}:{port}")).await?;
                assert_eq!(format!("error {error}"), REFUSED, "{address}:{port}");
            }
        }
        let neighbours_server = attack(&platform, &format!("/connect?{neighbour}:9000")).await?;
        assert_eq!(format!("error {neighbours_server}"), REFUSED);
        platform.stop().await
    })
}

/// The instance's own address, from the kernel's routing table (proc_net(5)).
fn own_address(table: &str) -> Option<String> {
    let addresses = table.lines().filter_map(|line| line.trim().strip_prefix("|-- "));
    addresses.into_iter().find(|address| address.starts_with("10.222.")).map(str::to_owned)
}

#[test]
fn public_net_config_disables_and_enables_egress() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE);
        public(&platform, "DISABLE").await?;
        assert_eq!(ask(&platform, OUTSIDE).await?, UNREACHABLE);
        assert!(!attack(&platform, "/read?/proc/net/dev").await?.contains("eth0"), "it still has a link");
        assert!(attack(&platform, "/resolve?database.example.com").await?.starts_with("error "));
        public(&platform, "ENABLE").await?;
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE);
        platform.stop().await
    })
}

#[test]
fn neither_a_stop_nor_a_kill_leaves_links_addresses_routes_or_rules() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        settled().await?;
        let before = traces()?;
        let mut platform = start().await?;
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE);
        let cgroup = platform.cgroup_name();
        let instances = leftovers::processes(&cgroup);
        platform.kill().await?;
        let killed = traces()?;
        assert!(killed.1.iter().any(|table| table.starts_with("sampan")), "{killed:?}");
        assert_ne!(killed, before, "what is in the kernel outlives a kill, and is what the next start removes");
        let platform = platform.restart().await?;
        for pid in instances {
            assert!(!leftovers::processes(&cgroup).contains(&pid), "{pid} outlived the next start");
        }
        assert_eq!(ask(&platform, OUTSIDE).await?, MACHINE);
        platform.stop().await?;
        // Links are removed with their namespaces, asynchronously. The guard of a machine without
        // IP forwarding remains until its reboot (decision 11).
        wait::until("nothing is left", || async {
            let mut now = traces()?;
            now.1.retain(|table| table != "sampan-forwarding");
            Ok((now == before).then_some(()))
        })
        .await
    })
}

#[test]
fn egress_is_counted_and_answers_to_callers_are_not() -> anyhow::Result<()> {
    on_machine(async |outside| {
        const BYTES: u64 = 3_000_000;
        let platform = start().await?;
        let counted = async || {
            let text = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
            let line = text.lines().find(|line| line.starts_with("sampan_out_flow_bytes_total{"));
            anyhow::ensure!(line.is_none_or(|line| line.contains("function=\"out\"")), "{line:?}");
            let number = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            anyhow::Ok(number.unwrap_or_default())
        };
        // Responses to a caller do not count as egress.
        attack(&platform, "/read?/hostile").await?;
        assert!(counted().await? < 10_000.0, "answers are counted");
        let sent = attack(&platform, &format!("/send?{OUTSIDE}:{SINK_PORT}:{BYTES}")).await?;
        assert_eq!(sent, BYTES.to_string());
        wait::until("they are received", || async {
            Ok((outside.received.load(Ordering::SeqCst) == BYTES).then_some(()))
        })
        .await?;
        let bytes = wait::until("they are counted", || async {
            let bytes = counted().await?;
            Ok((bytes >= 3_000_000.0).then_some(bytes))
        })
        .await?;
        // Packet headers are counted too.
        assert!(bytes < 3_000_000.0 * 1.1, "{bytes}");
        platform.stop().await
    })
}

#[test]
fn a_late_start_failure_leaves_no_links_addresses_routes_or_rules() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        settled().await?;
        let before = traces()?;
        let work = tempfile::tempdir()?;
        let data = work.path().join("data");
        std::fs::DirBuilder::new().mode(0o700).create(&data)?;
        // A file at the path of the directory that is opened last.
        std::fs::write(data.join("results"), "")?;
        let mut command = tools::command(&tools::sampan().display().to_string());
        command.args(["up", "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0", "--data-dir"]).arg(&data);
        let said = tools::run(&mut command).await?;
        assert!(!said.ok && said.stderr.contains("results"), "{}", said.stderr);
        wait::until("nothing is left", || async {
            let mut now = traces()?;
            now.1.retain(|table| table != "sampan-forwarding");
            Ok((now == before).then_some(()))
        })
        .await
    })
}

#[test]
fn the_command_line_works_in_plain_http_with_an_address_of_the_machine() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        settled().await?;
        let platform = Platform::start_at(&[], "0.0.0.0:0", "0.0.0.0:0").await?;
        let port = platform.registry().rsplit(':').next().context("a port")?.to_owned();
        let endpoint = format!("http://{MACHINE}:{port}");
        let folder = images::hello_folder()?;
        let folder = folder.path().display().to_string();
        let cli = async |args: &[&str]| platform.cli_json(&[args, &["--endpoint", &endpoint]].concat()).await;
        cli(&["push", "--from-dir", &folder, "--entrypoint", "/hello", "hello:v1"]).await?;
        let deployed = cli(&["deploy", "hello", "--image", "hello:v1"]).await?;
        let url = deployed["url"].as_str().context("a URL")?;
        assert!(url.starts_with(&format!("http://{MACHINE}:")), "{url}");
        let image = deployed["image"].as_str().context("an image")?;
        assert!(image.starts_with(&format!("{MACHINE}:{port}/hello:v1")), "{image}");
        cli(&["invoke", "hello"]).await?;
        platform.stop().await
    })
}
