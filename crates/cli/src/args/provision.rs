//! `sampan provision`, as clap reads it. Must not act.

use std::str::FromStr;

use clap::Args;

#[derive(Args)]
pub struct ProvisionArgs {
    /// Name of the function, with `:VERSION` to set something; the version is a published one
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Keep this many instances ready; 0 keeps none
    #[arg(long, value_name = "N", conflicts_with_all = ["utilization", "off"])]
    pub number: Option<u32>,
    /// Keep so many ready that this share of them is in use, such as 0.6; needs --max
    #[arg(long, value_name = "SHARE", requires = "max", conflicts_with = "off")]
    pub utilization: Option<f64>,
    /// Fewest instances with --utilization [default: as before, else 1]
    #[arg(long, value_name = "N", requires = "utilization")]
    pub min: Option<u32>,
    /// Most instances with --utilization
    #[arg(long, value_name = "N", requires = "utilization")]
    pub max: Option<u32>,
    /// From these times on keep another number ready: seven fields from second to year, such as '0 0 9 * * MON-FRI *=5';
    /// may be given several times, and they replace all that were there
    #[arg(long, value_name = "CRON=N", conflicts_with = "off")]
    pub at: Vec<At>,
    /// Take away the times that were there
    #[arg(long, conflicts_with_all = ["at", "off"])]
    pub no_at: bool,
    /// Keep nothing ready any more, now or at any time
    #[arg(long)]
    pub off: bool,
}

/// A number from times on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The times; whether they are any is said by the server.
    pub cron: String,
    /// The number.
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
