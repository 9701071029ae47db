//! Arguments of the client commands, parsed by clap.

pub(crate) mod argv;
pub mod command_line;
mod connection;
pub(crate) mod declared;
mod deploy;
pub(crate) mod destinations;
pub(crate) mod domain;
pub(crate) mod events;
pub(crate) mod extras;
mod functions;
pub(crate) mod header;
pub(crate) mod host_port;
pub(crate) mod images;
mod invoke;
pub(crate) mod job;
mod logs;
pub(crate) mod moment;
pub(crate) mod provision;
mod push;
pub(crate) mod quota;
pub(crate) mod registry;
pub(crate) mod release;
pub(crate) mod secret;
pub(crate) mod size;
pub(crate) mod trigger;
pub(crate) mod volume;

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

pub use self::connection::{Connection, without_connection};
pub use self::deploy::{DeployArgs, Kind};
pub use self::functions::{DeleteArgs, ListArgs, NameArgs};
pub use self::invoke::InvokeArgs;
pub use self::logs::LogsArgs;
pub use self::push::PushArgs;

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
    /// Human-readable text
    Text,
    /// One JSON document (or one per line for a sequence of results)
    Json,
}

/// Whether the arguments ask for JSON; also works for invalid command lines.
pub fn asks_for_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.into_iter().take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--output=json") || args.windows(2).any(|two| two[0] == "--output" && two[1] == "json")
}

/// The client commands.
#[derive(Subcommand)]
pub enum Command {
    /// Create or update a function from an image, or everything that a file declares, and wait
    /// until it is active
    Deploy(Box<DeployArgs>),
    /// Show the differences between a file's declarations and the platform; exit code 2 if there
    /// are any
    Diff(declared::DiffArgs),
    /// Print all functions, versions, aliases, triggers and domains as a sampan.yaml
    Export(declared::ExportArgs),
    /// Convert the image functions in another tool's file to a sampan.yaml
    Import(declared::ImportArgs),
    /// Print the JSON schema of sampan.yaml, for editors
    Schema,
    /// Call a function and print its answer
    Invoke(InvokeArgs),
    /// Run an image once to its end
    Job(job::JobArgs),
    /// Show and terminate asynchronous events
    Events(events::EventsArgs),
    /// Push an image into Sampan's registry, or any other, without a container tool
    Push(PushArgs),
    /// Show the output of a function
    Logs(LogsArgs),
    /// List functions
    List(ListArgs),
    /// Show a function with all its settings
    Get(NameArgs),
    /// Delete a function, or the resources that a file declares
    Delete(DeleteArgs),
    /// Publish the image and settings that a function serves as an immutable version
    Publish(release::PublishArgs),
    /// Manage aliases of versions and their routes
    Alias(release::AliasArgs),
    /// Move an alias to a new version in steps, and roll back when calls fail
    Rollout(Box<release::RolloutArgs>),
    /// Show or set memory quotas of the installation and of functions
    Quota(quota::QuotaArgs),
    /// Set the provisioned concurrency of a published version
    Provision(provision::ProvisionArgs),
    /// Manage custom domains and their routes to functions
    Domain(domain::DomainArgs),
    /// Manage triggers, such as timers, which create events for a function
    Trigger(trigger::TriggerArgs),
    /// Manage volumes, which outlive instances
    Volume(volume::VolumeArgs),
    /// Manage secrets, which functions receive as variables or files
    Secret(secret::SecretArgs),
    /// Manage registries for pulls: logins, mirrors, certificate authorities
    Registry(registry::RegistryArgs),
    /// List or prune images in Sampan's own registry
    Images(images::ImagesArgs),
    /// Verify all stored images; damaged content is quarantined and pulled again
    Scrub(images::ScrubArgs),
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
