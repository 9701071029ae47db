//! Arguments of `sampan provision`.

use std::str::FromStr;

use clap::Args;

#[derive(Args)]
pub struct ProvisionArgs {
    /// Name of the function, with a published `:VERSION` to change its provisioned concurrency
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Provision this many instances; 0 for none
    #[arg(long, value_name = "N", conflicts_with_all = ["utilization", "off"])]
    pub number: Option<u32>,
    /// Target utilization: provision as many instances as keep this share of them in use, such as
    /// 0.6; needs --max
    #[arg(long, value_name = "SHARE", requires = "max", conflicts_with = "off")]
    pub utilization: Option<f64>,
    /// Minimum number of instances with --utilization [default: unchanged, initially 1]
    #[arg(long, value_name = "N", requires = "utilization")]
    pub min: Option<u32>,
    /// Maximum number of instances with --utilization
    #[arg(long, value_name = "N", requires = "utilization")]
    pub max: Option<u32>,
    /// Number of instances from scheduled times on: seven fields from second to year, such as '0 0
    /// 9 * * MON-FRI *=5', in the time zone of [api] utc_offset (default +08:00); may be repeated,
    /// and replaces all existing schedules
    #[arg(long, value_name = "CRON=N", conflicts_with = "off")]
    pub at: Vec<At>,
    /// Remove all existing schedules
    #[arg(long, conflicts_with_all = ["at", "off"])]
    pub no_at: bool,
    /// Remove the provisioned concurrency and its schedules
    #[arg(long)]
    pub off: bool,
}

/// Number of instances from scheduled times on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The cron expression, checked by the server.
    pub cron: String,
    /// Number of instances.
    pub number: u32,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not CRON=N, such as '0 0 9 * * MON-FRI *=5'");
        let (cron, number) = text.rsplit_once('=').ok_or_else(wrong)?;
        Ok(Self { cron: cron.trim().to_owned(), number: number.trim().parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_its_times() {
        let nine = At { cron: "0 0 9 * * MON-FRI *".to_owned(), number: 5 };
        assert_eq!("0 0 9 * * MON-FRI *=5".parse(), Ok(nine));
        for text in ["0 0 9 * * * *", "0 0 9 * * * *=", "0 0 9 * * * *=-1"] {
            assert!(text.parse::<At>().unwrap_err().contains("CRON=N"), "{text}");
        }
    }
}
