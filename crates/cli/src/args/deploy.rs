//! Arguments of `sampan deploy`.

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use types::limits::STOP_GRACE_S_MAX;

use super::argv::Argv;
use super::extras::ExtrasArgs;
use super::size::Megabytes;

/// Type of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Receives events as POST /event-invoke
    Event,
    /// Receives HTTP requests unchanged
    Web,
}

/// Arguments of `sampan deploy` that are for one function.
const SINGLE: [&str; 39] = [
    "name",
    "image",
    "namespace",
    "kind",
    "memory",
    "timeout",
    "init_timeout",
    "cpu",
    "shm",
    "nofile",
    "pids",
    "egress",
    "mount",
    "host_ports",
    "tmp",
    "env",
    "env_file",
    "secret",
    "secret_files",
    "command",
    "args",
    "port",
    "job",
    "async_run",
    "rerun",
    "concurrency",
    "session",
    "sessions_per_instance",
    "websocket",
    "websocket_idle",
    "runtime",
    "stop_grace",
    "init",
    "no_start_check",
    "description",
    "on_success",
    "on_failure",
    "registry_id",
    "no_wait",
];

/// Arguments of `sampan deploy`.
#[derive(Args)]
pub struct DeployArgs {
    /// Name of the function
    #[arg(
        required = false,
        required_unless_present = "file",
        default_value_if("file", ArgPredicate::IsPresent, ""),
        hide_default_value = true
    )]
    pub name: String,
    /// Deploy everything that this file declares, instead of one function; further files are
    /// overlays whose keys replace those of earlier files
    #[arg(long, short, value_name = "FILE", conflicts_with_all = SINGLE)]
    pub file: Vec<PathBuf>,
    /// With --file: file of variables, one NAME=VALUE per line; variables of the environment take
    /// precedence
    #[arg(long, value_name = "FILE", requires = "file")]
    pub vars: Vec<PathBuf>,
    /// With --file: delete resources that the project created and no longer declares
    #[arg(long, requires = "file")]
    pub prune: bool,
    /// Image reference; without a registry host it names an image in Sampan's own registry
    #[arg(long)]
    pub image: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Type of a new function [default: web]; cannot be changed later
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Kind>,
    /// Memory: 64m, or a multiple of 128m such as 512m or 8g, at most [launcher] memory_mb_max;
    /// without a unit in MB
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Megabytes>,
    /// Settings beyond those of the reference's API
    #[command(flatten)]
    pub extras: ExtrasArgs,
    /// Timeout of an invocation, in seconds
    #[arg(long, value_name = "S")]
    pub timeout: Option<u32>,
    /// Timeout of an instance's start, in seconds
    #[arg(long, value_name = "S")]
    pub init_timeout: Option<u32>,
    /// Environment variable; the given variables replace all existing ones, and --env '' alone
    /// removes all; --port sets PORT
    #[arg(long, short, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// File of environment variables in Docker Compose's format (a name alone takes the value of
    /// the command's own variable, if set); later files override earlier ones, and --env all files
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Replaces the image's entry point: arguments quoted as in a shell, or a JSON array; an empty
    /// text restores the image's
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub command: Option<Argv>,
    /// Replaces the image's CMD, in the form of --command: --command sh --args '-c "echo a b"'
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub args: Option<Argv>,
    /// Port of the image's server, also in the variable PORT [default: 9000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Deploy the image as a job without a server: each event runs its program once, with the event
    /// in SCF_CUSTOM_CONTAINER_EVENT; the function has type event
    #[arg(long, conflicts_with_all = ["port", "concurrency", "session", "websocket"])]
    pub job: bool,
    /// Run a new event function asynchronously: a call returns its id at once, its run may take up
    /// to 24 hours (--timeout) and is not retried; cannot be changed later
    #[arg(long)]
    pub async_run: bool,
    /// With --async-run: run an event again if the platform stopped during its run
    #[arg(long, requires = "async_run")]
    pub rerun: bool,
    /// Concurrent requests per instance of a web function
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Session key of a web function: header:NAME, cookie:NAME or query:NAME; requests with the
    /// same value go to the same instance; none disables sessions
    #[arg(long, value_name = "SOURCE:NAME|none")]
    pub session: Option<String>,
    /// Sessions per instance [default: 1]
    #[arg(long, value_name = "N")]
    pub sessions_per_instance: Option<u32>,
    /// Accept WebSocket connections in a new web function; cannot be changed later
    #[arg(long)]
    pub websocket: bool,
    /// Idle timeout of a WebSocket connection, in seconds: 1 to 1800 [default: 15]
    #[arg(long, value_name = "S")]
    pub websocket_idle: Option<u64>,
    /// Runtime of a new function: sampan, runc, crun, runsc or another one in [launcher]
    /// runtimes_allowed; cannot be changed later
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Time between stop signal and kill for instances of a new function, in seconds: 0 to 30
    /// [default: 2]; cannot be changed later
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(0..=i64::from(STOP_GRACE_S_MAX)))]
    pub stop_grace: Option<u32>,
    /// Run an init as first process of a new function, which reaps orphans and forwards signals;
    /// cannot be changed later
    #[arg(long)]
    pub init: bool,
    /// Activate images and settings of a new function without a start check; cannot be changed
    /// later
    #[arg(long)]
    pub no_start_check: bool,
    /// Description of the function
    #[arg(long, allow_hyphen_values = true)]
    pub description: Option<String>,
    /// Destination for records of successful asynchronous events: fn:FUNCTION, or http:NAME for
    /// [connections.NAME] of the settings; an empty text removes it
    #[arg(long, value_name = "fn:NAME|http:NAME")]
    pub on_success: Option<String>,
    /// Destination for records of events that become dead letters, in the form of --on-success
    #[arg(long, value_name = "fn:NAME|http:NAME")]
    pub on_failure: Option<String>,
    /// Registry id (tcr-…) of an enterprise registry
    #[arg(long, value_name = "ID")]
    pub registry_id: Option<String>,
    /// Do not wait until the function is active
    #[arg(long)]
    pub no_wait: bool,
    /// Timeout of the wait, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    pub wait_timeout: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_one_function_is_refused_beside_a_file() {
        let command = DeployArgs::augment_args(clap::Command::new("deploy"));
        let of_files = ["file", "vars", "prune", "wait_timeout"];
        let all = command.get_arguments().map(|argument| argument.get_id().as_str());
        let missed: Vec<_> = all.filter(|id| !SINGLE.contains(id) && !of_files.contains(id)).collect();
        assert_eq!(missed, Vec::<&str>::new());
    }
}
