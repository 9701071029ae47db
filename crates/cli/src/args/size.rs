//! Sizes as arguments: memory in whole MB, and processor time in cores.

use std::str::FromStr;

/// A size in MB (2^20 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Megabytes(pub u32);

impl FromStr for Megabytes {
    type Err = String;

    /// Parses a number of MB, or one with a unit: `512m`, `8g`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size; write 512 or 512m for MB, or 8g");
        let lower = text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u32 = match &lower[digits.len()..] {
            "" | "m" | "mb" | "mib" => 1,
            "g" | "gb" | "gib" => 1024,
            _ => return Err(wrong()),
        };
        let number: u32 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

/// Processor time in thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores(pub u32);

impl FromStr for Cores {
    type Err = String;

    /// Parses a number of cores with up to three decimals.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a number of cores; write 2, 0.5 or 0.125");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 3 {
            return Err(wrong());
        }
        let thousandths: u32 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        whole.checked_mul(1_000).and_then(|milli| milli.checked_add(thousandths)).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_are_mb() {
        for (text, mb) in [("512", 512), ("512m", 512), ("64MB", 64), ("8g", 8_192), ("2GiB", 2_048), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Megabytes(mb)), "{text}");
        }
        for text in ["", "g", "1.5g", "-1", "1k", "8 g", "4294967295g"] {
            assert!(text.parse::<Megabytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn cores_have_decimals() {
        for (text, milli) in [("2", 2_000), ("0.5", 500), ("1.25", 1_250), ("0.125", 125), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Cores(milli)), "{text}");
        }
        for text in ["", ".5", "1.", "0.1234", "-1", "1e3", "9999999"] {
            assert!(text.parse::<Cores>().is_err(), "{text}");
        }
    }
}
