//! Arguments of `sampan publish`, `sampan alias …` and `sampan rollout`.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

const ROLLOUT_HELP: &str = "\
Errors of a version are its failed invocations, and answers of a web function with an HTTP status of 500 or more; \
invalid and aborted calls, and calls over a quota, do not count. The p95 is that of successful invocations, without \
the start of their instance.

Each step lasts --interval. It fails as soon as errors are certain to exceed the limit; the p95 is compared at its \
end. A step with fewer than --min-calls calls of the new version continues until it has them, for at most --step-timeout, \
and then fails; with --min-calls 0 a step without any call passes.

When a step fails, and on Ctrl-C or SIGTERM, the alias is set back to its former version. An alias that is changed \
concurrently is left unchanged.

Exit codes: 0 the last step passed, 6 rolled back, all others as for every command. With --output json one object is \
printed in each case once the first step began: outcome is done, rolled_back or failed.";

#[derive(Args)]
pub struct PublishArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Description of the version [default: the function's]
    #[arg(long, allow_hyphen_values = true)]
    pub description: Option<String>,
    /// Point this alias to the new version; it is created if it does not exist
    #[arg(long, value_name = "NAME")]
    pub alias: Option<String>,
    /// Timeout of the wait until the version is active, in seconds
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub wait_timeout: u64,
}

#[derive(Args)]
pub struct AliasArgs {
    #[command(subcommand)]
    pub command: AliasCommand,
}

#[derive(Subcommand)]
pub enum AliasCommand {
    /// Create an alias
    Create(RouteArgs),
    /// Change an alias. A new version gets all calls unless --weight or --match is given with it;
    /// settings that are not given are kept
    Update(ChangeArgs),
    /// List the aliases of a function
    List {
        /// Name of the function
        function: String,
        /// Namespace
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// List only aliases of this version
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Show an alias
    Get(AliasName),
    /// Delete an alias
    Delete(AliasName),
}

#[derive(Args)]
pub struct AliasName {
    /// Name of the function
    pub function: String,
    /// Name of the alias
    pub alias: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

#[derive(Args)]
pub struct RouteArgs {
    #[command(flatten)]
    pub name: AliasName,
    /// Version of the alias: a published number, or $LATEST
    #[arg(long, value_name = "VERSION")]
    pub version: String,
    #[command(flatten)]
    pub more: RouteMore,
}

#[derive(Args)]
pub struct ChangeArgs {
    #[command(flatten)]
    pub name: AliasName,
    /// Version of the alias: a published number, or $LATEST [default: unchanged]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    #[command(flatten)]
    pub more: RouteMore,
}

#[derive(Args)]
pub struct RouteMore {
    /// Another version and its share of calls, such as 2=0.05
    #[arg(long, value_name = "VERSION=SHARE", conflicts_with = "rule")]
    pub weight: Option<Weighted>,
    /// Another version and the header that selects it, such as 2=x-user:exact:ann or
    /// '2=x-user:range:[10,20]'
    #[arg(long = "match", id = "rule", value_name = "VERSION=HEADER:exact|range:VALUE")]
    pub rule: Option<Matched>,
    /// Description of the alias
    #[arg(long, allow_hyphen_values = true)]
    pub description: Option<String>,
}

/// A version and its share of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    pub version: String,
    pub share: f64,
}

impl FromStr for Weighted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (version, share) = text.split_once('=').ok_or("write VERSION=SHARE, such as 2=0.05")?;
        let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        Ok(Self { version: version.to_owned(), share: share.ok_or("the share is a number from 0 to 1")? })
    }
}

/// A version and the header that selects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    pub version: String,
    pub header: String,
    pub method: String,
    pub expression: String,
}

impl FromStr for Matched {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write VERSION=HEADER:exact:VALUE or VERSION=HEADER:range:[a,b]";
        let (version, rule) = text.split_once('=').ok_or(form)?;
        let mut parts = rule.splitn(3, ':').map(str::to_owned);
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or(form);
        let (header, method, expression) = (next()?, next()?, next()?);
        if !matches!(method.as_str(), "exact" | "range") {
            return Err(form.to_owned());
        }
        Ok(Self { version: version.to_owned(), header, method, expression })
    }
}

#[derive(Args)]
#[command(after_long_help = ROLLOUT_HELP)]
pub struct RolloutArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Alias to move to the new version
    #[arg(long, value_name = "NAME")]
    pub alias: String,
    /// Published version to move the alias to
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    pub to: u32,
    /// Shares of calls in percent, increasing; the last one stays in effect
    #[arg(long, value_name = "PERCENT,…", default_value = "5,25,100")]
    pub steps: Steps,
    /// Duration of each step, such as 60s or 5m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub interval: Duration,
    /// Roll back when more than this share of the new version's calls fail
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = percent)]
    pub max_error_rate: f64,
    /// Roll back when the new version's p95 exceeds this, such as 500ms
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_p95: Option<Duration>,
    /// Minimum number of calls of the new version per step
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub min_calls: u64,
    /// Timeout of a step that waits for --min-calls calls [default: ten intervals]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub step_timeout: Option<Duration>,
}

/// Shares of calls in percent, increasing, at most 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps(pub Vec<f64>);

impl FromStr for Steps {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let step =
            |part: &str| part.trim().trim_end_matches('%').parse().ok().filter(|step| (0.0..=100.0).contains(step));
        let steps: Option<Vec<f64>> = text.split(',').map(step).collect();
        let growing = |steps: &Vec<f64>| steps[0] > 0.0 && steps.is_sorted_by(|a, b| a < b);
        let steps = steps.filter(growing).ok_or("write growing shares in percent, such as 5,25,100")?;
        Ok(Self(steps))
    }
}

/// Parses a time with its unit: `500ms`, `60s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => 0,
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    ms.filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(|| "write 500ms, 60s, 5m or 1h".to_owned())
}

/// Parses a percentage as a fraction: `1%` is 0.01.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.map(|number| number / 100.0).ok_or_else(|| "write a share in percent, such as 1% or 0.5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_parsed_from_one_argument() {
        assert_eq!("2=0.05".parse(), Ok(Weighted { version: "2".into(), share: 0.05 }));
        assert!(["2", "2=", "2=1.5", "2=x"].iter().all(|text| text.parse::<Weighted>().is_err()));
        let matched = |expression: &str, method: &str| Matched {
            version: "2".into(),
            header: "x-user".into(),
            method: method.into(),
            expression: expression.into(),
        };
        assert_eq!("2=x-user:exact:a:b=c".parse(), Ok(matched("a:b=c", "exact")));
        assert_eq!("2=x-user:range:[1,5]".parse(), Ok(matched("[1,5]", "range")));
        assert!(
            ["2", "2=a", "2=a:exact", "2=a:exact:", "2=a:like:b"].iter().all(|text| text.parse::<Matched>().is_err())
        );
    }

    #[test]
    fn times_and_shares_have_units() {
        assert_eq!((duration("500ms"), duration("2m")), (Ok(Duration::from_millis(500)), Ok(Duration::from_secs(120))));
        assert!(["60", "0s", "-1s", "s", "1.5s", "1d"].iter().all(|text| duration(text).is_err()));
        assert_eq!((percent("1%"), percent("0%"), percent("100%")), (Ok(0.01), Ok(0.0), Ok(1.0)));
        assert!(["1", "%", "101%", "-1%", "NaN%"].iter().all(|text| percent(text).is_err()));
    }

    #[test]
    fn steps_grow() {
        assert_eq!("5,25,100".parse(), Ok(Steps(vec![5.0, 25.0, 100.0])));
        assert_eq!("0.5%, 10%".parse(), Ok(Steps(vec![0.5, 10.0])));
        assert!(["", "0,5", "5,5", "25,5", "5,101", "a"].iter().all(|text| text.parse::<Steps>().is_err()));
    }
}
