//! Arguments of `sampan domain …`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Args)]
pub struct DomainArgs {
    #[command(subcommand)]
    pub command: DomainCommand,
}

#[derive(Subcommand)]
pub enum DomainCommand {
    /// Route the paths of a custom domain to functions
    Add(AddArgs),
    /// Change a domain; given routes replace all existing ones
    Update(ChangeArgs),
    /// List the domains
    List {
        /// Only domains with a route to this function
        #[arg(long, value_name = "NAME")]
        function: Option<String>,
    },
    /// Show the routes of a domain
    Get {
        /// The host name
        domain: String,
    },
    /// Remove a domain
    #[command(alias = "delete")]
    Remove {
        /// The host name
        domain: String,
    },
}

/// Protocols of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Plain HTTP
    Http,
    /// TLS
    Https,
    /// Plain HTTP and TLS
    Both,
}

#[derive(Args)]
pub struct AddArgs {
    /// The host name, such as shop.example.com; it must resolve to the gateway's address
    pub domain: String,
    /// A path and its function: / or /a match that path only, /a/* all paths below it, /* all other
    /// paths
    #[arg(long, value_name = "PATH=[NAMESPACE/]FUNCTION[:QUALIFIER]", required = true)]
    pub route: Vec<Route>,
    /// Rewrite a path for the function, such as '/api/*=/$', where $ stands for the text that *
    /// matched
    #[arg(long, value_name = "PATH=PATH")]
    pub rewrite: Vec<Rewrite>,
    /// Protocols of the domain
    #[arg(long, value_enum, default_value = "http")]
    pub protocol: Protocol,
    /// Name of a certificate in the gateway's configuration, for TLS
    #[arg(long, value_name = "NAME", required_if_eq_any = [("protocol", "https"), ("protocol", "both")])]
    pub certificate: Option<String>,
}

#[derive(Args)]
pub struct ChangeArgs {
    /// The host name
    pub domain: String,
    /// A path and its function; given routes replace all existing ones
    #[arg(long, value_name = "PATH=[NAMESPACE/]FUNCTION[:QUALIFIER]")]
    pub route: Vec<Route>,
    /// Rewrite a path for the function
    #[arg(long, value_name = "PATH=PATH", requires = "route")]
    pub rewrite: Vec<Rewrite>,
    /// Protocols of the domain
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Name of a certificate in the gateway's configuration, for TLS
    #[arg(long, value_name = "NAME")]
    pub certificate: Option<String>,
}

/// A path and its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub path: String,
    pub namespace: String,
    pub function: String,
    pub qualifier: String,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "write PATH=[NAMESPACE/]FUNCTION[:QUALIFIER], such as '/*=hello' or /api=team/hello:prod";
        let (path, target) = text.split_once('=').ok_or(wrong)?;
        let (function, qualifier) = target.split_once(':').unwrap_or((target, "$DEFAULT"));
        let (namespace, function) = function.split_once('/').unwrap_or(("default", function));
        if !path.starts_with('/') || function.is_empty() || namespace.is_empty() || qualifier.is_empty() {
            return Err(wrong.to_owned());
        }
        let [path, namespace, function, qualifier] = [path, namespace, function, qualifier].map(str::to_owned);
        Ok(Self { path, namespace, function, qualifier })
    }
}

/// A path and its replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    pub path: String,
    pub to: String,
}

impl FromStr for Rewrite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(path, to)| path.starts_with('/') && to.starts_with('/'));
        let (path, to) = parts.ok_or("write PATH=PATH, such as '/api/*=/$'")?;
        Ok(Self { path: path.to_owned(), to: to.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_a_path_and_a_function() {
        let route = |text: &str| text.parse::<Route>().map(|r| [r.path, r.namespace, r.function, r.qualifier]);
        assert_eq!(route("/*=hello"), Ok(["/*", "default", "hello", "$DEFAULT"].map(str::to_owned)));
        assert_eq!(route("/api=team/hello:prod"), Ok(["/api", "team", "hello", "prod"].map(str::to_owned)));
        for bad in ["", "hello", "a=hello", "/=", "/=:1", "/=/hello", "/=hello:"] {
            assert!(route(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rewrite_names_two_paths() {
        let rewrite = Rewrite { path: "/api/*".to_owned(), to: "/$".to_owned() };
        assert_eq!("/api/*=/$".parse(), Ok(rewrite));
        for bad in ["", "/a", "/a=b", "a=/b"] {
            assert!(bad.parse::<Rewrite>().is_err(), "{bad}");
        }
    }
}
