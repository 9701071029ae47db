//! Arguments of `sampan quota`.

use std::str::FromStr;

use clap::Args;

#[derive(Args)]
pub struct QuotaArgs {
    /// Function whose quota to show or set [default: show the quota of the installation and of each
    /// function]
    pub function: Option<String>,
    /// Namespace of the function
    #[arg(long, short, default_value = "default", requires = "function")]
    pub namespace: String,
    /// Memory in MB to reserve for the function, which is also its upper limit; 0 disables the
    /// function, `none` removes the reservation
    #[arg(long, value_name = "MB|none", requires = "function")]
    pub reserved: Option<Reserved>,
    /// Set the quota of the installation, in MB
    #[arg(long, value_name = "MB", conflicts_with = "function")]
    pub total: Option<u64>,
}

/// Reserved memory of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Memory in MB.
    Memory(u64),
    /// No reservation.
    None,
}

impl FromStr for Reserved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Memory).map_err(|_| "give an amount of memory in MB, or none".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_an_amount_or_none() {
        assert_eq!("1024".parse(), Ok(Reserved::Memory(1024)));
        assert_eq!("none".parse(), Ok(Reserved::None));
        for text in ["", "-1", "1.5", "all"] {
            assert!(text.parse::<Reserved>().unwrap_err().contains("in MB"), "{text}");
        }
    }
}
