//! The arguments of the client commands, as clap reads them.

pub(crate) mod argv;
pub mod command_line;
pub(crate) mod declared;
pub(crate) mod domain;
pub(crate) mod events;
pub(crate) mod extras;
pub(crate) mod header;
pub(crate) mod host_port;
pub(crate) mod images;
pub(crate) mod job;
pub(crate) mod moment;
pub(crate) mod provision;
pub(crate) mod quota;
pub(crate) mod registry;
pub(crate) mod release;
pub(crate) mod secret;
pub(crate) mod size;
pub(crate) mod trigger;
pub(crate) mod volume;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{ArgPredicate, NonEmptyStringValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use types::limits::STOP_GRACE_S_MAX;

use self::argv::Argv;
use self::extras::ExtrasArgs;
use self::size::Megabytes;

/// Text at the end of the help.
pub const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 not found, \
4 the invocation failed, 5 Sampan or a registry is unreachable or refuses the credentials, 6 a rollout was rolled \
back, 7 `sampan up` ended by an internal fault, 130 and 143 it was stopped at once by a second SIGINT or SIGTERM, 141 \
the reader of its output has closed the pipe. With --output json an error is one object on standard error: code, message, \
hint, request_id, exit_code.";

/// The client commands of Sampan, without the platform.
#[derive(Parser)]
#[command(name = "sampan", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    /// The command
    #[command(subcommand)]
    pub command: Command,
    /// Connection to Sampan
    #[command(flatten)]
    pub connection: Connection,
    /// Format of results
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
}

/// Format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON document (or one per line for a sequence of results)
    Json,
}

/// Whether the arguments ask for JSON; also works for invalid command lines.
pub fn asks_for_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.into_iter().take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--output=json") || args.windows(2).any(|two| two[0] == "--output" && two[1] == "json")
}

/// The error with a usage line without options of [`Connection`]: clap counts those that the
/// environment sets as given, and shows them as if they were required.
pub fn without_connection(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return error };
    let before = usage.to_string();
    let options = Connection::augment_args(clap::Command::new("connection"));
    let usage = options.get_arguments().fold(before.clone(), |usage, option| {
        let long = option.get_long().unwrap_or_default();
        let value = option.get_value_names().into_iter().flatten().next().map_or("", |name| name.as_str());
        usage.replace(&format!(" --{long} <{value}>"), "")
    });
    if usage != before {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage.into()));
    }
    error
}

/// Endpoint and key pair of the platform.
#[derive(Args, Clone, Default)]
pub struct Connection {
    /// Control address of Sampan, such as http://127.0.0.1:7070; its registry uses the same scheme
    #[arg(long, global = true, env = "SAMPAN_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// Secret id of the key pair
    #[arg(
        long,
        global = true,
        env = "TENCENTCLOUD_SECRET_ID",
        hide_env_values = true,
        value_name = "ID",
        allow_hyphen_values = true
    )]
    pub secret_id: Option<String>,
    /// Secret key of the key pair
    #[arg(
        long,
        global = true,
        env = "TENCENTCLOUD_SECRET_KEY",
        hide_env_values = true,
        value_name = "KEY",
        allow_hyphen_values = true
    )]
    pub secret_key: Option<String>,
    /// Region of requests; with `up`, the region shown to functions [default: local]
    #[arg(long, global = true, env = "TENCENTCLOUD_REGION", value_name = "NAME")]
    pub region: Option<String>,
    /// File with endpoint and key pair, written by `sampan up` [default: credentials.toml of the
    /// data directory]
    #[arg(long, global = true, env = "SAMPAN_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

/// The client commands.
#[derive(Subcommand)]
pub enum Command {
    /// Create a function of an image, or update it, and wait until it is active; or all that a file
    /// declares
    Deploy(Box<DeployArgs>),
    /// Show what differs from what a file declares; exit code 2 if anything does
    Diff(declared::DiffArgs),
    /// Print all functions, versions, aliases, triggers and domains as a sampan.yaml
    Export(declared::ExportArgs),
    /// Print the functions of images in a file of another tool as a sampan.yaml
    Import(declared::ImportArgs),
    /// Print the JSON schema of sampan.yaml, for editors
    Schema,
    /// Call a function and print its answer
    Invoke(InvokeArgs),
    /// Run an image to its end, without a function
    Job(job::JobArgs),
    /// Show and end asynchronous events
    Events(events::EventsArgs),
    /// Push an image into Sampan's registry, or any other, without a container tool
    Push(PushArgs),
    /// Show the output of a function
    Logs(LogsArgs),
    /// List functions
    List(ListArgs),
    /// Show a function with all its settings
    Get(NameArgs),
    /// Delete a function, or what a file declares
    Delete(DeleteArgs),
    /// Publish an immutable version of what a function serves
    Publish(release::PublishArgs),
    /// Manage aliases of versions and their routes
    Alias(release::AliasArgs),
    /// Move an alias to a new version in steps, and roll back when calls fail
    Rollout(Box<release::RolloutArgs>),
    /// Show or set memory quotas of the installation and of functions
    Quota(quota::QuotaArgs),
    /// Set the provisioned concurrency of a published version
    Provision(provision::ProvisionArgs),
    /// Manage custom domains and the functions of their paths
    Domain(domain::DomainArgs),
    /// Manage triggers, which make events for a function, such as timers
    Trigger(trigger::TriggerArgs),
    /// Manage volumes, the directories that outlive instances
    Volume(volume::VolumeArgs),
    /// Manage secrets, which functions get as variables
    Secret(secret::SecretArgs),
    /// Manage registries for pulls: logins, mirrors, certificate authorities
    Registry(registry::RegistryArgs),
    /// List or prune images in Sampan's own registry
    Images(images::ImagesArgs),
    /// Verify all stored images; damaged content is quarantined and pulled again
    Scrub(images::ScrubArgs),
}

/// Arguments of `sampan push`.
#[derive(Args)]
pub struct PushArgs {
    /// OCI layout (folder or archive) or docker archive (`docker save`), or - for standard input,
    /// uncompressed or compressed with gzip or zstd; with --from-dir the first name is the image's
    #[arg(value_name = "SOURCE or IMAGE", num_args = 1..=2, required = true)]
    pub names: Vec<String>,
    /// Build an image with this folder's content as its only layer
    #[arg(long, value_name = "DIR", requires = "entrypoint")]
    pub from_dir: Option<PathBuf>,
    /// Entry point of an image built with --from-dir, one argument per use
    #[arg(long, value_name = "WORD", requires = "from_dir", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// Environment of an image built with --from-dir
    #[arg(long, value_name = "KEY=VALUE", requires = "from_dir", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// Working directory of an image built with --from-dir
    #[arg(long, value_name = "DIR", requires = "from_dir")]
    pub workdir: Option<String>,
    /// User of an image built with --from-dir
    #[arg(long, value_name = "USER", requires = "from_dir")]
    pub user: Option<String>,
    /// Keep the owners that files have in the folder, by their numbers, as of a root that packages
    /// made; without it all are root's
    #[arg(long, requires = "from_dir")]
    pub keep_owners: bool,
    /// Tag or reference of the image in a source with several
    #[arg(long, value_name = "TAG", conflicts_with = "from_dir")]
    pub select: Option<String>,
    /// User of another registry than Sampan's own
    #[arg(long, value_name = "USER", allow_hyphen_values = true, requires = "registry_password_file")]
    pub registry_user: Option<String>,
    /// File with the password of --registry-user
    #[arg(long, value_name = "FILE", requires = "registry_user")]
    pub registry_password_file: Option<PathBuf>,
}

/// Type of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Called with events: POST /event-invoke
    Event,
    /// Called with HTTP requests, which are passed unchanged
    Web,
}

/// Arguments of `sampan deploy` that are for one function.
const SINGLE: [&str; 29] = [
    "name",
    "image",
    "namespace",
    "kind",
    "memory",
    "timeout",
    "init_timeout",
    "env",
    "secret",
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
    /// Deploy what this file declares, in place of one function; later files are overlays, whose
    /// keys replace those of earlier ones
    #[arg(long, short, value_name = "FILE", conflicts_with_all = SINGLE)]
    pub file: Vec<PathBuf>,
    /// With --file: file with variables, a NAME=VALUE in each line; those of the environment come
    /// first
    #[arg(long, value_name = "FILE", requires = "file")]
    pub vars: Vec<PathBuf>,
    /// With --file: remove what the project made and no longer declares
    #[arg(long, requires = "file")]
    pub prune: bool,
    /// Image; without a registry's host one in Sampan's own registry
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
    /// Environment variable; given ones replace all existing ones, and --env '' alone removes them;
    /// PORT is set by --port
    #[arg(long, short, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// File of environment variables, as Docker Compose reads it; of several the later ones win,
    /// and --env wins over all
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Secret of the namespace, by its newest version or by one: as a variable (DB_PASSWORD=db,
    /// DB_PASSWORD=db@3), or as the file /run/secrets/db (db, db@3); given variables with those of
    /// --env replace all existing ones, given files all existing files
    #[arg(long, value_name = "[KEY=]NAME[@VERSION]", value_parser = secret::given)]
    pub secret: Vec<secret::GivenSecret>,
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
    /// The image is a job without a server: each event is one run of its program, with the event in
    /// SCF_CUSTOM_CONTAINER_EVENT; makes an event function
    #[arg(long, conflicts_with_all = ["port", "concurrency", "session", "websocket"])]
    pub job: bool,
    /// Each call of a new event function answers with its id at once, its run may take up to 24
    /// hours (--timeout), and it is not repeated; cannot be changed later
    #[arg(long)]
    pub async_run: bool,
    /// With --async-run: run an event again when the platform ended during its run
    #[arg(long, requires = "async_run")]
    pub rerun: bool,
    /// Concurrent requests of one instance of a web function
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
    /// Free text
    #[arg(long, allow_hyphen_values = true)]
    pub description: Option<String>,
    /// Where records of asynchronous events that end well go: fn:FUNCTION, or http:NAME for
    /// [connections.NAME] of the settings; an empty text removes it
    #[arg(long, value_name = "fn:NAME|http:NAME")]
    pub on_success: Option<String>,
    /// The same for events that become dead letters
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

/// Arguments of `sampan invoke`.
#[derive(Args)]
pub struct InvokeArgs {
    /// Name of the function, with an optional `:qualifier`
    #[arg(required_unless_present = "result")]
    pub name: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Event (JSON) or body; `@FILE` reads a file, `-` standard input
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub data: Option<String>,
    /// Print the newest lines of the invocation's log too (event functions)
    #[arg(long)]
    pub log: bool,
    /// Return once the call is durable, and print its id; `sampan events wait` waits for its end
    #[arg(long = "async", conflicts_with_all = ["log", "raw", "result"])]
    pub asynchronous: bool,
    /// Do not call: print the retained result of this invocation, which outlived its caller or was
    /// asynchronous (event functions)
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["name", "data", "log"])]
    pub result: Option<String>,
    /// Print control characters unescaped, also to a terminal
    #[arg(long)]
    pub raw: bool,
    /// Path and query of the request (web functions) [default: /]
    #[arg(long, allow_hyphen_values = true)]
    pub path: Option<String>,
    /// Method of the request (web functions) [default: GET, or POST with --data]
    #[arg(long, short = 'X')]
    pub method: Option<http::Method>,
    /// Header of the request (web functions)
    #[arg(long, short = 'H', value_name = "NAME: VALUE", allow_hyphen_values = true)]
    pub header: Vec<header::Header>,
}

/// Arguments of `sampan logs`.
#[derive(Args)]
pub struct LogsArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Keep printing new lines
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines of this invocation; the beginning of its id is enough
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub request_id: Option<String>,
    /// Only lines of this instance, including those outside invocations; a prefix of its id (i-…)
    /// is enough
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub instance: Option<String>,
    /// Only lines of failed invocations, once they have ended
    #[arg(long)]
    pub failed: bool,
    /// Only lines since this time: relative (10m, 1h30m, 2d), a date, or a time
    /// (2026-11-28T08:15:00Z; without an offset it is in the local zone)
    #[arg(long, value_name = "TIME")]
    pub since: Option<moment::Moment>,
    /// Only lines until this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<moment::Moment>,
    /// Number of lines, the newest ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Print control characters unescaped, also to a terminal
    #[arg(long)]
    pub raw: bool,
}

/// Arguments of `sampan list`.
#[derive(Args)]
pub struct ListArgs {
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Only names that contain this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub search: Option<String>,
}

/// Arguments of `sampan delete`.
#[derive(Args)]
pub struct DeleteArgs {
    /// Name of the function
    #[arg(
        required = false,
        required_unless_present = "file",
        default_value_if("file", ArgPredicate::IsPresent, ""),
        hide_default_value = true
    )]
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Delete what this file declares and its project made, in place of one function
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["name", "namespace"])]
    pub file: Vec<PathBuf>,
    /// With --file: file with variables, a NAME=VALUE in each line; those of the environment come
    /// first
    #[arg(long, value_name = "FILE", requires = "file")]
    pub vars: Vec<PathBuf>,
}

/// Arguments of commands about one function.
#[derive(Args)]
pub struct NameArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn free_text_may_begin_with_a_hyphen() {
        let deploy = [
            "deploy",
            "f",
            "--command",
            "-c",
            "--args",
            "-m http.server 9000",
            "--env",
            "-A=-b",
            "--description",
            "-x",
        ];
        let invoke = ["invoke", "f", "--data", "-1", "-H", "-x: -y", "--path", "-p"];
        for line in [&deploy[..], &invoke, &["list", "--search", "-a"], &["publish", "f", "--description", "-x"]] {
            let parsed = Cli::try_parse_from(["sampan"].iter().chain(line));
            assert!(parsed.is_ok(), "{line:?}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn the_usage_of_an_error_requires_no_option_of_the_connection() {
        let usage = |line: &[&str]| {
            let error = Cli::try_parse_from(["sampan"].iter().chain(line)).err().expect("the name is missing");
            without_connection(error).render().to_string()
        };
        // Options that the environment sets are shown as given ones are.
        let shown = usage(&["logs", "--credentials", "f", "--endpoint", "http://h"]);
        assert!(shown.contains("Usage: sampan logs <NAME>"), "{shown}");
        assert!(usage(&["logs"]).contains("<NAME>"));
    }

    #[test]
    fn json_is_asked_for_by_a_flag() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(OsString::from));
        assert!(asks("sampan get --output json") && asks("sampan --output=json get --nope"));
        assert!(
            !asks("sampan get f") && !asks("sampan get --output text json") && !asks("sampan get -- --output json")
        );
    }
}
