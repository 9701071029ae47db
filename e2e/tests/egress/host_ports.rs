//! Servers on the machine's loopback interface, reached from instances as `host.sampan.internal`.

use e2e::{AsyncClient, Platform, hostile, tools, wait};
use tokio::process::Child;

use crate::machine::{on_machine, settled};

/// A Python web server on the machine's loopback interface.
struct PythonServer {
    port: u16,
    process: Child,
    folder: tempfile::TempDir,
}

impl PythonServer {
    async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (tools::free_port()?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("index.html"), "from the machine\n")?;
        let mut command = tools::command("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(folder.path());
        let process = command.kill_on_drop(true).spawn()?;
        let server = Self { port, process, folder };
        let listening = async || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        wait::until("the server listens", listening).await?;
        Ok(server)
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        drop(self.folder);
        Ok(())
    }
}

/// Lines of a function's log.
async fn log(platform: &Platform, function: &str) -> anyhow::Result<String> {
    tools::run_ok(&mut platform.cli(&["logs", function, "--limit", "100"])).await
}

/// The response that an instance gets through `host.sampan.internal`.
async fn ask(platform: &Platform, function: &str, port: u16) -> anyhow::Result<String> {
    hostile::attack(platform, function, &format!("/http?host.sampan.internal:{port}/index.html")).await
}

async fn start(host_ports: &str) -> anyhow::Result<Platform> {
    settled().await?;
    Platform::start_with(&[("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_NETWORK__HOST_PORTS", host_ports)]).await
}

#[test]
fn a_function_reaches_the_servers_on_the_machine_that_it_asks_for() -> anyhow::Result<()> {
    on_machine(async |_| reach_servers().await)
}

async fn reach_servers() -> anyhow::Result<()> {
    let (server, other) = (PythonServer::start().await?, PythonServer::start().await?);
    let allowed = format!("[{}, \"{}-{}\"]", server.port, other.port, other.port);
    let platform = start(&allowed).await?;
    hostile::push(&platform).await?;
    let flags = ["--memory", "256", "--timeout", "30", "--no-start-check"];
    let port = server.port.to_string();
    platform.deploy("database", "hostile:v1", &[&flags[..], &["--host-port", &port]].concat()).await?;
    platform.deploy("plain", "hostile:v1", &flags).await?;

    assert!(ask(&platform, "database", server.port).await?.ends_with("from the machine\n"));
    // Neither an undeclared port nor a port declared by another function is reachable.
    for (function, port) in [("database", other.port), ("plain", server.port), ("plain", other.port)] {
        assert!(ask(&platform, function, port).await?.starts_with("error 104"), "{function}: {port}");
        let named = async || Ok(log(&platform, function).await?.contains(&format!("--host-port {port}")).then_some(()));
        wait::until("the refusal is in the function's log", named).await?;
    }
    assert!(ask(&platform, "plain", other.port).await?.starts_with("error 104"));
    let said = log(&platform, "plain").await?;
    assert_eq!(said.matches(&format!("--host-port {}", other.port)).count(), 1, "{said}");

    let shown = tools::run_ok(&mut platform.cli(&["get", "database"])).await?;
    assert!(shown.lines().any(|line| line.starts_with("host ports") && line.contains(&port)), "{shown}");
    platform.deploy("database", "hostile:v1", &["--host-port", "none"]).await?;
    assert!(ask(&platform, "database", server.port).await?.starts_with("error 104"));
    platform.stop().await?;
    server.stop().await?;
    other.stop().await
}

/// The path by which `out` sends a signed `Invoke` to the control address: an event for `web`.
fn signed_invoke(platform: &Platform, port: &str) -> String {
    let now_s = jiff::Timestamp::now().as_second().to_string();
    let host = format!("host.sampan.internal:{port}");
    let parameters = [
        ("Action", "Invoke"),
        ("FunctionName", "web"),
        ("InvocationType", "Event"),
        ("Nonce", "1"),
        ("Region", "local"),
        ("SecretId", &platform.api.secret_id),
        ("Timestamp", &now_s),
        ("Version", "2018-04-16"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let algorithm = signature::v1::Algorithm::HmacSha1;
    let signature = signature::v1::signature(algorithm, &platform.api.secret_key, "GET", &host, &parameters);
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("/http?{host}/?{}&Signature={signature}", pairs.join("&"))
}

#[test]
fn a_signed_invoke_of_an_instance_counts_in_the_chain_of_its_event() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start("[\"1024-65535\"]").await?;
        hostile::push(&platform).await?;
        platform.push_hello().await?;
        platform.deploy("web", "hello:v1", &["--type", "event"]).await?;
        let port = platform.control.rsplit(':').next().unwrap_or_default().to_owned();
        let flags = ["--memory", "128", "--timeout", "60", "--no-start-check", "--host-port", &port];
        platform.deploy("out", "hostile:v1", &flags).await?;
        // Outside of an event's run it begins a chain.
        let said = hostile::attack(&platform, "out", &signed_invoke(&platform, &port)).await?;
        assert!(said.contains("FunctionRequestId") && !said.contains("\"Error\""), "{said}");
        let client = AsyncClient::of(&platform);
        let path = format!("out{}", signed_invoke(&platform, &port));
        let sent = client.send(reqwest::Method::GET, &path, &[("X-Scf-Chain-Depth", "15")], vec![]).await?;
        let id = sent.headers()["x-call-id"].to_str()?.to_owned();
        tools::run_ok(&mut platform.cli(&["events", "wait", &id])).await?;
        let said = tools::run_ok(&mut platform.cli(&["events", "get", &id, "--result"])).await?;
        assert!(said.contains("16 events have led to this call of default/web"), "{said}");
        platform.stop().await
    })
}

#[test]
fn a_port_that_the_operator_does_not_open_is_refused_at_deploy() -> anyhow::Result<()> {
    on_machine(async |_| refuse_ports().await)
}

async fn refuse_ports() -> anyhow::Result<()> {
    let platform = start("[3306, \"5432-5440\"]").await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--host-port", "3306", "--host-port", "5440"]).await?;
    let refused = tools::run(&mut platform.cli(&["deploy", "web", "--host-port", "22"])).await?;
    assert!(
        !refused.ok && refused.stderr.contains("[network] host_ports, which has 3306, 5432-5440"),
        "{}",
        refused.stderr
    );
    assert_eq!(platform.get("web", "/").await?.status(), 200);
    platform.stop().await
}
