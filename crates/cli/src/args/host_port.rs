//! A host port as an argument.

use std::str::FromStr;

/// A port, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort(pub Option<u16>);

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a port; write 1 to 65535, or none");
        match text {
            "none" => Ok(Self(None)),
            text => text.parse().ok().filter(|port| *port != 0).map(|port| Self(Some(port))).ok_or_else(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_or_none() {
        assert_eq!("3306".parse(), Ok(HostPort(Some(3306))));
        assert_eq!("none".parse(), Ok(HostPort(None)));
        for text in ["", "0", "65536", "-1", "http", "1-2"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
