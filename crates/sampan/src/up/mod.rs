//! `sampan up`: runs the platform from its settings to a clean stop.
//!
//! Parts start in order of dependency and stop in reverse order.

mod administration;
mod authorizer;
mod bounds;
mod confirmations;
mod control;
mod core_files;
mod data_dir;
mod dead_letters;
mod descriptors;
mod health;
mod images;
mod listener;
mod lock;
mod metrics;
mod own_names;
mod prepare;
mod registries;
mod secrets;
mod signals;
mod signed;
mod start_check;
mod temporary;
mod volumes;
mod wiring;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::{Output, UpArgs};
use crate::failure::{Exit, Failure};
use crate::{credentials, output, print, settings};

pub use data_dir::{DATABASE, make as make_data_dir};
pub use lock::take as take_lock;

/// Starts the platform, prints its addresses, and runs until SIGINT or SIGTERM. SIGHUP reloads
/// certificates.
pub async fn run(args: UpArgs, format: Output) -> anyhow::Result<()> {
    print::outlive_reader();
    let mut settings = settings::load(&args)?;
    start_tracing();
    warn_of(&settings::unknown_variables());
    // Checks come first, because a failed start must not change the machine.
    settings::check(&settings)?;
    for warning in settings::warnings(&settings) {
        tracing::warn!("{warning}");
    }
    // From here on, memory contains keys.
    core_files::forbid()?;
    check_machine()?;
    descriptors::fit(&mut settings, descriptors::raise_limit())?;
    data_dir::make(&settings.data_dir)?;
    let _lock = lock::take(&settings.data_dir)?;
    data_dir::check_database(&settings.data_dir, args.new)?;
    let control = listener::bind("control", settings.control_addr).await?;
    let gateway = listener::bind("gateway", settings.gateway_addr).await?;
    let tls = match settings.gateway_tls_addr {
        Some(address) => Some(listener::bind("gateway-tls", address).await?),
        None => None,
    };
    let (control_url, gateway_url) = (url("http", &control)?, url("http", &gateway)?);
    let tls_url = tls.as_ref().map(|tls| url("https", tls)).transpose()?;
    let last_endpoint = credentials::read(&credentials::path(&settings.data_dir)).ok().map(|last| last.endpoint);
    let pair = credentials::prepare(&settings.data_dir, &control_url)?;
    let grace = Duration::from_secs(settings.shutdown_grace_s);
    let drain = Duration::from_secs(settings.drain_s);
    let file = credentials::path(&settings.data_dir);
    // Installed before any part starts, so that no signal is lost.
    let signals = signals::Signals::listen()?;
    let listening = wiring::Listening { control, plain: gateway, tls };
    let platform = wiring::RunningPlatform::start(settings, pair, last_endpoint, listening).await?;
    let urls = Urls { control: control_url, gateway: gateway_url, gateway_tls: tls_url };
    urls.announce(&file, platform.cgroup_name(), format)?;
    run_to_end(platform, signals, drain, grace, format).await
}

/// The addresses of the platform.
struct Urls {
    control: String,
    gateway: String,
    gateway_tls: Option<String>,
}

impl Urls {
    /// Prints the addresses and the path of the credentials file.
    fn announce(&self, credentials: &Path, cgroup: &str, format: Output) -> anyhow::Result<()> {
        let Self { control, gateway, gateway_tls } = self;
        match format {
            Output::Json => output::json(&json!({
                "control": control, "gateway": gateway, "gateway_tls": gateway_tls,
                "credentials": credentials.display().to_string(), "cgroup": cgroup,
            }))?,
            Output::Text => {
                println!("control: {control}");
                println!("gateway: {gateway}");
                if let Some(gateway_tls) = gateway_tls {
                    println!("gateway (TLS): {gateway_tls}");
                }
                println!("credentials: {}", credentials.display());
            }
        }
        Ok(())
    }
}

/// Runs until a signal, drains events, and stops the platform. A second signal ends each of these
/// waits.
async fn run_to_end(
    platform: wiring::RunningPlatform,
    mut signals: signals::Signals,
    drain: Duration,
    grace: Duration,
    format: Output,
) -> anyhow::Result<()> {
    tokio::select! {
        _ = signals.end_asked(|| platform.reload()) => {}
        fatal = supervisor::fatal() => return Err(end_after(fatal, platform, grace).await),
    }
    if !drain.is_zero() {
        tracing::info!(drain_s = drain.as_secs(), runs = platform.runs(), "waiting for runs of events before stopping");
        tokio::select! {
            () = platform.drain(drain) => {}
            _ = signals.end_asked(|| platform.reload()) => tracing::warn!("a second signal ends the wait for runs"),
        }
    }
    tracing::info!(grace_s = grace.as_secs(), "stopping");
    let instances = platform.instances();
    tokio::select! {
        () = platform.stop(grace) => Ok(()),
        signal = signals.end_asked(|| ()) => {
            instances.kill_all();
            signal.end_process(format)
        }
    }
}

/// Prints warnings about variables that are probably misspelt settings, whatever `SAMPAN_LOG` is.
fn warn_of(unknown: &[String]) {
    for variable in unknown {
        eprintln!("warning: {variable} is not a setting and has no effect; `sampan config` lists the settings");
    }
}

/// URL of a listener for clients on this machine.
fn url(scheme: &str, listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("{scheme}://{}", types::listening::callable(listener.local_addr()?)))
}

/// Stops the platform after a fatal panic, within a timeout; the next start removes leftovers.
async fn end_after(fatal: supervisor::Fatal, platform: wiring::RunningPlatform, grace: Duration) -> anyhow::Error {
    let supervisor::Fatal { task, message } = fatal;
    tracing::error!(task, "task that owns state panicked; stopping, the next start repairs incomplete changes");
    if tokio::time::timeout(grace, platform.stop(grace / 2)).await.is_err() {
        tracing::error!(grace_s = grace.as_secs(), "shutdown timed out; instances keep running until the next start");
    }
    let said = format!("the platform's task {task:?} panicked: {message}");
    Failure::new(
        Exit::Fault,
        said,
        "This is a fault of Sampan: report it with the log. Start it again; nothing acknowledged is lost.",
    )
    .into()
}

/// Writes the platform's log to standard error, filtered by `SAMPAN_LOG` (default `info`).
fn start_tracing() {
    let filter = EnvFilter::try_from_env("SAMPAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    // Logging a failure of the log to a closed standard error would panic.
    let log = tracing_subscriber::fmt::layer().with_ansi(colours).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(log.with_writer(std::io::stderr).with_filter(filter));
    #[cfg(feature = "tokio-console")]
    let registry = registry.with(console_subscriber::spawn());
    registry.init();
}

fn check_machine() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(
            Exit::Usage,
            "sampan up needs root, to make namespaces and cgroups for instances",
            "Run it with sudo; the client commands need no root.",
        )
        .into());
    }
    let missing: Vec<sandbox::Check> = sandbox::doctor().into_iter().filter(sandbox::Check::is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|c| c.name).collect();
    let remedies: Vec<&str> = missing.iter().map(|c| c.remedy.as_str()).collect();
    let message = format!("this machine's kernel lacks: {}", names.join(", "));
    Err(Failure::new(Exit::Failed, message, remedies.join(" ")).into())
}
