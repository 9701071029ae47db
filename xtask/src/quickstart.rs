//! Builds Sampan, starts it on free ports, deploys two functions of `examples/hello` and calls
//! them, with the commands that a user enters.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::process::{self, ChildGuard, build_example, build_sampan, output, status_within};

/// Timeout of the start.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Message printed before the build.
const BUILD_NOTE: &str = "Building Sampan and examples/hello: the first time takes about seven minutes on two cores, \
less on more; later ones seconds.";
/// Number of warm calls in the printed median.
const WARM_CALLS: usize = 20;

/// Runs all steps; `keep` leaves Sampan running until it is interrupted.
pub fn run(root: &Path, keep: bool) -> anyhow::Result<()> {
    if output(Command::new("id").arg("-u"))? != "0" {
        bail!("instances need root: run it again as root, such as with `sudo -E cargo xtask quickstart`");
    }
    println!("{BUILD_NOTE}");
    let sampan = build_sampan(root, "release")?;
    let hello = build_example(root, "hello")?;
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data_dir = work.path().join("data");
    let mut up = Up::start(&sampan, &data_dir)?;
    println!("\nSampan is up: control {}, gateway {}", up.control, up.gateway);

    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello")).context("cannot copy the built example")?;
    let image = image.display().to_string();
    step("push an image made of a folder, no container tool needed");
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    step("deploy it as a web function, unchecked so that the first call is a cold start, and as an event function");
    up.client(&["deploy", "hello-web", "--image", "hello:v1", "--type", "web", "--no-start-check"])?;
    up.client(&["deploy", "hello-event", "--image", "hello:v1", "--type", "event"])?;
    step("call the web function: a cold start, then warm calls");
    let cold = up.timed_call()?;
    let mut warm = (0..WARM_CALLS).map(|_| up.timed_call()).collect::<anyhow::Result<Vec<_>>>()?;
    warm.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("answer: {}", cold.1.trim());
    println!(
        "cold {:.2} ms, warm {:.2} ms (median of {WARM_CALLS}; curl's time from first to last byte)",
        cold.0,
        warm[WARM_CALLS / 2].0
    );
    step("call the event function and see its log");
    up.client(&["invoke", "hello-event", "--data", r#"{"name":"world"}"#, "--log"])?;
    println!("\nWhat to try next, while it is up:\n{}", up.next_steps());
    if keep {
        println!("\nSampan stays up until Ctrl-C.");
        // Until Ctrl-C, which ends both processes.
        while process::ends_within(&mut up.child.0, READY_TIMEOUT)?.is_none() {}
    } else {
        println!("\nStopped. `cargo xtask quickstart --keep` leaves it up.");
    }
    Ok(())
}

fn step(what: &str) {
    println!("\n# {what}");
}

/// A running platform.
pub struct Up {
    child: ChildGuard,
    sampan: std::path::PathBuf,
    /// File with the key pair.
    pub credentials: String,
    /// Control address.
    pub control: String,
    /// Gateway address.
    pub gateway: String,
}

impl Up {
    /// Starts a platform on free ports and waits until it is ready.
    pub fn start(sampan: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(sampan, data_dir, &[])
    }

    /// As [`Up::start`], with settings as environment variables.
    pub fn start_with(sampan: &Path, data_dir: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(sampan);
        command.args(["up", "--output", "json", "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0"]);
        // Log lines of lower levels would disturb the output.
        command.arg("--data-dir").arg(data_dir).env("SAMPAN_LOG", "warn").stdout(Stdio::piped());
        command.envs(settings.iter().copied());
        let mut child = ChildGuard(command.spawn().with_context(|| format!("cannot run {}", sampan.display()))?);
        let line = first_line(&mut child.0)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("sampan up said {line:?}"))?;
        let text = |name: &str| ready.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let up = Self {
            child,
            sampan: sampan.to_owned(),
            credentials: text("credentials"),
            control: text("control"),
            gateway: text("gateway"),
        };
        let deadline = Instant::now() + READY_TIMEOUT;
        let health = format!("{}/healthz", up.control);
        let mut ask = Command::new("curl");
        ask.args(["-fsS", "-o", "/dev/null", &health]);
        while !status_within(&mut ask, READY_TIMEOUT)?.success() {
            if Instant::now() > deadline {
                bail!("{health} does not answer after {} s", READY_TIMEOUT.as_secs());
            }
        }
        Ok(up)
    }

    /// Runs a client command and prints it.
    pub fn client(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.sampan);
        process::run(command.args(args).args(["--credentials", &self.credentials]))
    }

    /// As [`Up::client`], without printing.
    pub fn quiet_client(&self, args: &[&str]) -> anyhow::Result<()> {
        self.client_output(args).map(drop)
    }

    /// As [`Up::quiet_client`]; returns the output.
    pub fn client_output(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.sampan);
        output(command.args(args).args(["--credentials", &self.credentials]))
    }

    /// Process id of the platform.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Resident memory of the platform's process, in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("the kernel names VmRSS")?;
        let kib = line.split_whitespace().nth(1).context("VmRSS has a value")?;
        kib.parse().context("VmRSS is a number")
    }

    fn timed_call(&self) -> anyhow::Result<(f64, String)> {
        let url = format!("{}/fn/default/hello-web/", self.gateway);
        let said = output(Command::new("curl").args(["-fsS", "-w", "\n%{time_total}", &url]))?;
        let (body, seconds) = said.rsplit_once('\n').context("curl prints the time last")?;
        Ok((seconds.parse::<f64>().context("curl prints seconds")? * 1000.0, body.to_owned()))
    }

    fn next_steps(&self) -> String {
        let (sampan, gateway) = (self.sampan.display(), &self.gateway);
        let (credentials, port) = (&self.credentials, self.gateway.rsplit(':').next().unwrap_or_default());
        format!(
            "  export SAMPAN_CREDENTIALS={credentials}\n  {sampan} list\n  {sampan} logs hello-web -f\n  \
             {sampan} push my-image.tar my-image:v1      # of `docker save`, `podman save` or an OCI layout\n  \
             curl {gateway}/fn/default/hello-web/any/path\n  \
             curl http://hello-web.default.fn.localhost:{port}/"
        )
    }
}

fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("the output is piped")?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // Drains the remaining output, so that the platform never blocks on a full pipe.
    std::thread::spawn(move || {
        let (mut reader, mut line) = (BufReader::new(stdout), String::new());
        let read = reader.read_line(&mut line).map(|_| line);
        if sender.send(read).is_ok() {
            std::io::copy(&mut reader, &mut std::io::sink()).ok();
        }
    });
    let line = receiver.recv_timeout(READY_TIMEOUT);
    let line = line.with_context(|| format!("sampan up says nothing for {} s", READY_TIMEOUT.as_secs()))?;
    let line = line.context("cannot read what sampan up says")?;
    if line.is_empty() {
        bail!("sampan up ended before it was ready; its error stands above");
    }
    Ok(line)
}
