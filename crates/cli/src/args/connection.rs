//! Connection options, which all commands have.

use std::path::PathBuf;

use clap::Args;
use clap::error::{ContextKind, ContextValue};

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

/// Removes options of [`Connection`] from an error's usage line: clap counts options set by the
/// environment as given, and shows them as if they were required.
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_usage_of_an_error_requires_no_option_of_the_connection() {
        let usage = |line: &[&str]| {
            let error = Cli::try_parse_from(["sampan"].iter().chain(line)).err().expect("the name is missing");
            without_connection(error).render().to_string()
        };
        // clap shows options set by the environment like given ones.
        let shown = usage(&["logs", "--credentials", "f", "--endpoint", "http://h"]);
        assert!(shown.contains("Usage: sampan logs <NAME>"), "{shown}");
        assert!(usage(&["logs"]).contains("<NAME>"));
    }
}
