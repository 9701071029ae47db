//! A request header as an argument: `NAME: VALUE`.

use std::str::FromStr;

use http::{HeaderName, HeaderValue};

/// Name and value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name of the header.
    pub name: HeaderName,
    /// Value of the header.
    pub value: HeaderValue,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("write NAME: VALUE, such as 'x-user: ann'")?;
        let name = name.trim();
        let value = value.trim().parse().map_err(|_| "the value has characters that no header may have".to_owned());
        Ok(Self { name: name.parse().map_err(|_| format!("{name:?} is not a header's name"))?, value: value? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let of = |text: &str| text.parse::<Header>().map(|header| (header.name.to_string(), header.value));
        assert_eq!(of("X-User:  ann:1 "), Ok(("x-user".to_owned(), HeaderValue::from_static("ann:1"))));
        assert_eq!(of("x-empty:"), Ok(("x-empty".to_owned(), HeaderValue::from_static(""))));
        for wrong in ["x-user", "", ": ann", "x user: ann", "x-user: a\nb"] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
