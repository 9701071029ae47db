//! Arguments of `sampan invoke`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::header::Header;

/// Arguments of `sampan invoke`.
#[derive(Args)]
pub struct InvokeArgs {
    /// Name of the function, with an optional `:qualifier`
    #[arg(required_unless_present = "result")]
    pub name: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Event (JSON) or body; `@FILE` reads a file, `-` or `@-` standard input
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub data: Option<String>,
    /// Also print the newest lines of the invocation's log (event functions)
    #[arg(long)]
    pub log: bool,
    /// Return once the call is durable, and print its id; `sampan events wait` waits for its end
    #[arg(long = "async", conflicts_with_all = ["log", "raw", "result"])]
    pub asynchronous: bool,
    /// Instead of calling, print the retained result of this invocation, which was asynchronous or
    /// outlived its caller (event functions)
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
    pub header: Vec<Header>,
}
