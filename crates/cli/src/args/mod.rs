//! The arguments of the client commands, as clap reads them.

pub(crate) mod domain;
pub(crate) mod images;
pub(crate) mod moment;
pub(crate) mod provision;
pub(crate) mod quota;
pub(crate) mod registry;
pub(crate) mod release;
pub(crate) mod shell_words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use types::limits::STOP_GRACE_S_MAX;

use self::shell_words::Words;

/// What the help ends with.
pub const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 not found, \
4 the function's run failed, 5 Sampan or a registry cannot be reached or refuses the credentials, 6 a rollout was \
rolled back, 7 `sampan up` ended by a fault of its own, 130 and 143 it was ended at once by a second SIGINT or SIGTERM, \
141 the reader of its output has gone. With --output json an error is one object on standard error: code, \
message, hint, request_id, exit_code.";

/// The client commands of Sampan, without the platform.
#[derive(Parser)]
#[command(name = "sampan", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Where Sampan is and who asks
    #[command(flatten)]
    pub connection: Connection,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON document (or one a line, where results follow each other)
    Json,
}

/// Whether a command line asks for JSON, also one that cannot be read otherwise.
pub fn asks_for_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.into_iter().take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--output=json") || args.windows(2).any(|two| two[0] == "--output" && two[1] == "json")
}

/// Where Sampan is and who asks.
#[derive(Args, Clone, Default)]
pub struct Connection {
    /// Control address of Sampan, such as http://127.0.0.1:7070; its registry is called by the same scheme
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
    /// Region to name in requests; with `up`, the region that functions see [default: local]
    #[arg(long, global = true, env = "TENCENTCLOUD_REGION", value_name = "NAME")]
    pub region: Option<String>,
    /// File with endpoint and key pair, as `sampan up` writes it [default: credentials.toml of the data directory]
    #[arg(long, global = true, env = "SAMPAN_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

/// The client commands.
#[derive(Subcommand)]
pub enum Command {
    /// Make a function of an image, or update it, and wait until it can be called
    Deploy(Box<DeployArgs>),
    /// Call a function and print its answer
    Invoke(InvokeArgs),
    /// Show what a function printed
    Logs(LogsArgs),
    /// List functions
    List(ListArgs),
    /// Show everything about a function
    Get(NameArgs),
    /// Delete a function
    Delete(NameArgs),
    /// Make a version, which does not change any more, of what a function serves
    Publish(release::PublishArgs),
    /// Names of versions, and where their calls go
    Alias(release::AliasArgs),
    /// Lead an alias to a new version step by step, and back by itself when calls go wrong
    Rollout(Box<release::RolloutArgs>),
    /// How much memory instances may take: of the installation, and of one function
    Quota(quota::QuotaArgs),
    /// Keep instances of a published version ready
    Provision(provision::ProvisionArgs),
    /// Host names of your own, and the functions that their paths lead to
    Domain(domain::DomainArgs),
    /// Registries that images are pulled from: logins, mirrors, authorities
    Registry(registry::RegistryArgs),
    /// Images in Sampan's own registry: tags, sizes, what nothing leads to
    Images(images::ImagesArgs),
    /// Read and verify all images that are kept; what is damaged is set aside and pulled again
    Scrub(images::ScrubArgs),
}

/// Which image to send, and where to.
#[derive(Args)]
pub struct PushArgs {
    /// OCI layout (folder or archive) or docker archive (`docker save`), - for one piped in, plain or compressed with
    /// gzip or zstd; with --from-dir the first name is the image's
    #[arg(value_name = "SOURCE or IMAGE", num_args = 1..=2, required = true)]
    pub names: Vec<String>,
    /// Make an image with one layer of this folder's content
    #[arg(long, value_name = "DIR", requires = "entrypoint")]
    pub from_dir: Option<PathBuf>,
    /// Entry point of an image made with --from-dir, a word per use
    #[arg(long, value_name = "WORD", requires = "from_dir", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// Environment of an image made with --from-dir
    #[arg(long, value_name = "KEY=VALUE", requires = "from_dir", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// Working directory of an image made with --from-dir
    #[arg(long, value_name = "DIR", requires = "from_dir")]
    pub workdir: Option<String>,
    /// User of an image made with --from-dir
    #[arg(long, value_name = "USER", requires = "from_dir")]
    pub user: Option<String>,
    /// Which image of the source, when it holds several: its tag or reference
    #[arg(long, value_name = "TAG")]
    pub select: Option<String>,
    /// User of a registry other than Sampan's own
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    pub registry_user: Option<String>,
    /// File with the password of --registry-user
    #[arg(long, value_name = "FILE", requires = "registry_user")]
    pub registry_password_file: Option<PathBuf>,
}

/// The two types of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Called with events: POST /event-invoke
    Event,
    /// Called with HTTP requests, passed through as they are
    Web,
}

/// What a function is to be.
#[derive(Args)]
pub struct DeployArgs {
    /// Name of the function
    pub name: String,
    /// Image; a name without a registry's host is one in Sampan's own registry
    #[arg(long)]
    pub image: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Type of a new function [default: web]; it cannot change later
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub kind: Option<Kind>,
    /// Memory in MB: 64, or 128 to 3072 in steps of 128
    #[arg(long, value_name = "MB")]
    pub memory: Option<u32>,
    /// Longest run of one call, in seconds
    #[arg(long, value_name = "S")]
    pub timeout: Option<u32>,
    /// Longest start of an instance, in seconds
    #[arg(long, value_name = "S")]
    pub init_timeout: Option<u32>,
    /// Environment variable; given once or more, they replace all that were there
    #[arg(long, short, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// Replaces the image's entry point: words and quotes as in a shell, or a JSON array of words; empty brings the
    /// image's back
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub command: Option<Words>,
    /// Replaces the image's CMD, written as --command: --command sh --args '-c "echo a b"'
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub args: Option<Words>,
    /// Where the image's server listens; instances have it in the variable PORT [default: 9000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Requests that one instance of a web function serves at once
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Requests with the same value there go to the same instance of a web function: header:NAME, cookie:NAME or
    /// query:NAME; none ends that
    #[arg(long, value_name = "SOURCE:NAME|none")]
    pub session: Option<String>,
    /// Sessions that one instance has at once [default: 1]
    #[arg(long, value_name = "N")]
    pub sessions_per_instance: Option<u32>,
    /// Have a new web function take WebSocket connections; it cannot change later
    #[arg(long)]
    pub websocket: bool,
    /// Silence that ends a WebSocket connection, in seconds: 1 to 1800 [default: 15]
    #[arg(long, value_name = "S")]
    pub websocket_idle: Option<u64>,
    /// What isolates the instances of a new function: sampan, runc, crun, runsc or what else [launcher] runtimes_allowed
    /// has; it cannot change later
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// Time that instances of a new function have to end by themselves when they are stopped, in seconds: 0 to 30
    /// [default: 2]; it cannot change later
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(0..=i64::from(STOP_GRACE_S_MAX)))]
    pub stop_grace: Option<u32>,
    /// Run the program of a new function as the child of an init, which reaps processes whose parents have ended and passes
    /// signals on; it cannot change later
    #[arg(long)]
    pub init: bool,
    /// Have images and settings of a new function take over before one of its instances has started; it cannot change later
    #[arg(long)]
    pub no_start_check: bool,
    /// Free text
    #[arg(long, allow_hyphen_values = true)]
    pub description: Option<String>,
    /// Registry id (tcr-…) of an enterprise registry
    #[arg(long, value_name = "ID")]
    pub registry_id: Option<String>,
    /// Do not wait until the function is active
    #[arg(long)]
    pub no_wait: bool,
    /// Longest wait, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    pub wait_timeout: u64,
}

/// Which call to send.
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
    /// Print the newest lines of the run's log too (event functions)
    #[arg(long)]
    pub log: bool,
    /// Do not call: print the answer of this run, which went on when its caller stopped waiting (event functions)
    #[arg(long, value_name = "ID", conflicts_with_all = ["name", "data", "log"])]
    pub result: Option<String>,
    /// Print control characters as they are, also those that a terminal obeys
    #[arg(long)]
    pub raw: bool,
    /// Path and query of the request (web functions)
    #[arg(long, default_value = "/", allow_hyphen_values = true)]
    pub path: String,
    /// Method of the request (web functions) [default: GET, or POST with --data]
    #[arg(long, short = 'X')]
    pub method: Option<String>,
    /// Header of the request (web functions)
    #[arg(long, short = 'H', value_name = "NAME: VALUE", allow_hyphen_values = true)]
    pub header: Vec<String>,
}

/// Which lines to print.
#[derive(Args)]
pub struct LogsArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Stay and print what comes
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines of this invocation
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Only lines of this instance, those outside invocations too; the beginning of its id (i-…) is enough
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Only lines of failed invocations, when they have ended
    #[arg(long)]
    pub failed: bool,
    /// Only lines from this time on: how long ago (10m, 1h30m, 2d) or a time (2026-11-28T08:15:00Z)
    #[arg(long, value_name = "TIME")]
    pub since: Option<moment::Moment>,
    /// Only lines up to this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<moment::Moment>,
    /// How many lines, the newest ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Print control characters as they are, also those that a terminal obeys
    #[arg(long)]
    pub raw: bool,
}

/// Which functions to list.
#[derive(Args)]
pub struct ListArgs {
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Only names that contain this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub search: Option<String>,
}

/// Which function.
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
    fn json_is_asked_for_by_a_flag() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(OsString::from));
        assert!(asks("sampan get --output json") && asks("sampan --output=json get --nope"));
        assert!(
            !asks("sampan get f") && !asks("sampan get --output text json") && !asks("sampan get -- --output json")
        );
    }
}
