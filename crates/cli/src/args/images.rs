//! Arguments of `sampan images …` and `sampan scrub`.

use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct ImagesArgs {
    #[command(subcommand)]
    pub command: Option<ImagesCommand>,
    /// List only images that no tag, index or function refers to
    #[arg(long)]
    pub untagged: bool,
}

#[derive(Subcommand)]
pub enum ImagesCommand {
    /// Remove untagged images of Sampan's registry, and all unreferenced content
    Prune(PruneArgs),
}

#[derive(Args)]
pub struct PruneArgs {
    /// Remove only content that was unreferenced and unused for this long (0s, 30m, 12h, 7d)
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = age)]
    pub older_than: Duration,
    /// List the content to remove, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct ScrubArgs {
    /// Start the scrub, and do not wait for its end
    #[arg(long)]
    pub detach: bool,
}

/// Parses a time with its unit; zero is allowed.
fn age(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    let seconds = number.parse::<u64>().ok().zip(unit_s).and_then(|(number, unit_s)| number.checked_mul(unit_s));
    seconds.map(Duration::from_secs).ok_or_else(|| "write 0s, 30m, 12h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit() {
        for (text, seconds) in [("0s", 0), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-1s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
