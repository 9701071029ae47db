//! `bench instructions`: user-space instructions per warm request, counted by callgrind as the
//! difference of two runs with different numbers of requests, which cancels start-up and shutdown.
//! Repeatable to a few percent on a busy machine; kernel instructions are not counted.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::http::{Connection, free_port};
use crate::process::{ChildGuard, build_example, cargo, on_path, run as run_command, target_dir};

/// Numbers of requests in the two runs; the figure is the difference of instructions divided by the
/// difference of requests.
const REQUESTS: [u64; 2] = [500, 2500];
/// Timeout until a server under callgrind listens, and until it exits.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// The measured proxies.
#[derive(Clone, Copy)]
enum Proxy {
    Bare,
    Nginx,
    Sampan,
}

/// Measures all three and prints instructions per request and ratios.
pub fn run(root: &Path) -> anyhow::Result<()> {
    for (program, package) in [("valgrind", "valgrind"), ("nginx", "nginx-light")] {
        if !on_path(program) {
            bail!("{program} is needed by this bench: apt-get install {package}");
        }
    }
    run_command(cargo(root).args(["build", "--locked", "--package", "warm-path", "--release"]))?;
    let (servers, hello) = (target_dir(root).join("release/warm-path"), build_example(root, "hello")?);
    let port = free_port()?;
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let _server = ChildGuard(Command::new(&hello).env("PORT", port.to_string()).stdout(Stdio::null()).spawn()?);
    let work = tempfile::tempdir()?;
    let bench = Bench { servers, upstream, work: work.path().to_owned() };
    let bare = bench.per_request(Proxy::Bare)?;
    let nginx = bench.per_request(Proxy::Nginx)?;
    let sampan = bench.per_request(Proxy::Sampan)?;
    if std::env::var_os("SAMPAN_BIN").is_some() {
        println!("SAMPAN_BIN is not measured here: the path of a request is, built from this checkout");
    }
    println!("user-space instructions a warm request, profile release, one client:");
    println!("{:12} {bare:>9.0}", "bare hyper");
    println!("{:12} {nginx:>9.0}  {:.2}x the bare proxy (with an access log)", "nginx", nginx / bare);
    println!(
        "{:12} {sampan:>9.0}  {:.2}x the bare proxy (goal <= 2), {:.2}x nginx",
        "sampan",
        sampan / bare,
        sampan / nginx
    );
    Ok(())
}

struct Bench {
    servers: PathBuf,
    upstream: SocketAddr,
    work: PathBuf,
}

impl Bench {
    fn per_request(&self, proxy: Proxy) -> anyhow::Result<f64> {
        let [few, many] = [self.total(proxy, REQUESTS[0])?, self.total(proxy, REQUESTS[1])?];
        Ok(many.saturating_sub(few) as f64 / (REQUESTS[1] - REQUESTS[0]) as f64)
    }

    /// Instructions of a server from start to end, with this many requests over one connection.
    fn total(&self, proxy: Proxy, requests: u64) -> anyhow::Result<u64> {
        let counts = self.work.join("callgrind.out");
        let (mut server, address) = match proxy {
            Proxy::Nginx => self.nginx(&counts)?,
            Proxy::Bare => self.own(&counts, "proxy")?,
            Proxy::Sampan => self.own(&counts, "sampan")?,
        };
        let mut connection = connect(address)?;
        for _ in 0..requests {
            connection.call()?;
        }
        end(&mut server.0, matches!(proxy, Proxy::Nginx))?;
        let text = std::fs::read_to_string(&counts).context("callgrind wrote no counts")?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind wrote no total")?;
        total.trim().parse().with_context(|| format!("{total:?} is not a count"))
    }

    fn own(&self, counts: &Path, name: &str) -> anyhow::Result<(ChildGuard, SocketAddr)> {
        let mut command = callgrind(counts);
        command.arg(&self.servers).arg(name).arg(self.upstream.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot run valgrind")?;
        let output = child.stdout.take().context("standard output is piped")?;
        let guard = ChildGuard(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{name} printed {line:?} instead of its address"))?;
        Ok((guard, address))
    }

    fn nginx(&self, counts: &Path) -> anyhow::Result<(ChildGuard, SocketAddr)> {
        let (port, work) = (free_port()?, self.work.display());
        let config = self.work.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {work}/nginx.pid; error_log /dev/null crit;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log {work}/access.log combined buffer=64k; keepalive_requests 100000000;\n\
             client_body_temp_path {work}; proxy_temp_path {work}; fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};\n\
             upstream hello {{ server {}; keepalive 64; keepalive_requests 100000000; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://hello; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n",
            self.upstream,
        );
        std::fs::write(&config, text)?;
        let mut command = callgrind(counts);
        command.arg("nginx").arg("-c").arg(&config).args(["-e", "/dev/null"]).stdout(Stdio::null());
        Ok((ChildGuard(command.spawn().context("cannot run valgrind")?), SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }
}

fn callgrind(counts: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--log-file=/dev/null"]);
    command.arg(format!("--callgrind-out-file={}", counts.display()));
    command
}

/// Connects once the server responds.
fn connect(address: SocketAddr) -> anyhow::Result<Connection> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let tried = Connection::open(address, "bench", "/fn/default/warm/").and_then(|mut connection| {
            connection.call()?;
            Ok(connection)
        });
        match tried {
            Ok(connection) => return Ok(connection),
            Err(error) if Instant::now() > deadline => return Err(error.context("the server did not get ready")),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Stops the server and waits until callgrind has written its counts.
fn end(child: &mut Child, by_signal: bool) -> anyhow::Result<()> {
    if by_signal {
        run_command(Command::new("kill").args(["-QUIT", &child.id().to_string()]))?;
    }
    drop(child.stdin.take());
    let deadline = Instant::now() + WAIT_MAX;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            bail!("a server under callgrind did not end within {} s", WAIT_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
