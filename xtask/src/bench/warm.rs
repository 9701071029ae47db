//! `bench warm`: latency that the gateway adds to a call of a warm web function, with nginx
//! proxying to the same server as the peer; also for a server that sends head and body separately,
//! which a proxy must acknowledge without delay.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::http::{Load, free_port, load};
use super::{binaries, median, quantile};
use crate::process::{ChildGuard, on_path};
use crate::quickstart::Up;

/// Duration of one measurement.
const MEASURE: Duration = Duration::from_secs(2);
/// Number of clients in the throughput measurement.
const MANY: usize = 32;

struct Target {
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
    one_us: Vec<f64>,
    one_p99_us: Vec<f64>,
    parts_us: Vec<f64>,
    many_per_second: Vec<f64>,
}

/// Measures the three alternately, and prints medians and ratios.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    if !on_path("nginx") {
        bail!("nginx is the peer of this bench: apt-get install nginx-light");
    }
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let direct_port = free_port()?;
    let _server = ChildGuard(Command::new(&hello).env("PORT", direct_port.to_string()).stdout(Stdio::null()).spawn()?);
    let nginx_port = free_port()?;
    let _nginx = start_nginx(work.path(), nginx_port, direct_port)?;
    let up = Up::start(&sampan, &work.path().join("data"))?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    up.client(&["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"])?;
    let concurrency = MANY.to_string();
    up.client(&["deploy", "warm", "--image", "hello:v1", "--memory", "3072", "--concurrency", &concurrency])?;

    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let target = |name, address, path| Target {
        name,
        address,
        path,
        one_us: Vec::new(),
        one_p99_us: Vec::new(),
        parts_us: Vec::new(),
        many_per_second: Vec::new(),
    };
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut targets = [
        target("direct", local(direct_port), "/"),
        target("nginx", local(nginx_port), "/"),
        target("sampan", gateway, "/fn/default/warm/"),
    ];
    for target in &targets {
        wait_for(target)?;
    }
    for round in 1..=rounds {
        for target in &mut targets {
            let Load { mut times_us, .. } = load(target.address, "bench", target.path, 1, MEASURE)?;
            target.one_us.push(median(&mut times_us));
            target.one_p99_us.push(quantile(&mut times_us, 0.99));
            let parts = format!("{}parts", target.path);
            target.parts_us.push(median(&mut load(target.address, "bench", &parts, 1, MEASURE)?.times_us));
            target.many_per_second.push(load(target.address, "bench", target.path, MANY, MEASURE)?.per_second);
        }
        eprintln!("round {round} of {rounds} done");
    }
    report(&mut targets);
    Ok(())
}

fn report(targets: &mut [Target]) {
    println!("{:8} {:>14} {:>14} {:>14} {:>18}", "", "1 client p50", "1 client p99", "in parts p50", "32 clients");
    let mut figures = Vec::new();
    for target in targets.iter_mut() {
        let (p50, p99) = (median(&mut target.one_us), median(&mut target.one_p99_us));
        let (parts, rate) = (median(&mut target.parts_us), median(&mut target.many_per_second));
        println!("{:8} {p50:>11.1} us {p99:>11.1} us {parts:>11.1} us {rate:>12.0} /s", target.name);
        figures.push((p50, parts, rate));
    }
    let [direct, nginx, sampan] = figures[..] else { return };
    println!("added p50 over a direct call: sampan {:.1} us, nginx {:.1} us", sampan.0 - direct.0, nginx.0 - direct.0);
    println!("throughput with 32 clients: sampan {:.2}x nginx (goal >= 0.9)", sampan.2 / nginx.2);
    println!("head and body apart, p50: sampan {:.3}x nginx (goal <= 1.2)", sampan.1 / nginx.1);
}

fn wait_for(target: &Target) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let tried = super::http::Connection::open(target.address, "bench", target.path).and_then(|mut c| c.call());
        match tried {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("{} is not ready", target.name)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn start_nginx(work: &Path, port: u16, upstream: u16) -> anyhow::Result<ChildGuard> {
    let config = work.join("nginx.conf");
    let text = format!(
        "daemon off; worker_processes 2; pid {pid}; error_log /dev/null crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {work}; proxy_temp_path {work}; fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};\n\
         upstream hello {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://hello; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n",
        pid = work.join("nginx.pid").display(),
        work = work.display(),
    );
    std::fs::write(&config, text)?;
    let child = Command::new("nginx").arg("-c").arg(&config).args(["-e", "/dev/null"]).stdout(Stdio::null()).spawn()?;
    Ok(ChildGuard(child))
}
