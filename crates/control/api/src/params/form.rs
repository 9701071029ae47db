//! Decodes `application/x-www-form-urlencoded` (URL standard, section 5.1), strictly: names and
//! values must be UTF-8. Pure.

use percent_encoding::percent_decode;
use types::{ApiError, ErrorCode};

/// Most parameters of one call. Each level of nesting needs a name, so this bounds the tree too.
const PARAMETERS_MAX: usize = 10_000;

/// The decoded pairs in the order given; a piece without `=` is a name with an empty value.
///
/// # Errors
/// `InvalidParameter` when there are too many, or one is not UTF-8.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let mut pairs = Vec::new();
    for piece in text.split(|b| *b == b'&').filter(|piece| !piece.is_empty()) {
        if pairs.len() == PARAMETERS_MAX {
            return Err(invalid(format!("the request has more than {PARAMETERS_MAX} parameters")));
        }
        let equals = piece.iter().position(|b| *b == b'=').unwrap_or(piece.len());
        let (name, value) = (&piece[..equals], piece.get(equals + 1..).unwrap_or_default());
        let name = decode(name).ok_or_else(|| invalid("the name of a parameter is not UTF-8".to_owned()))?;
        let value = decode(value).ok_or_else(|| invalid(format!("{name}: the value is not UTF-8")))?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::INVALID_PARAMETER, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).expect("well-formed")
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_are_decoded() {
        assert_eq!(pairs("a=1&b=x+y%2Bz&c"), [pair("a", "1"), pair("b", "x y+z"), pair("c", "")]);
        assert_eq!(pairs("&&a=%E4%BD%A0=&"), [pair("a", "你=")]);
        assert_eq!(pairs("a=%zz%"), [pair("a", "%zz%")]);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn what_is_no_utf8_is_refused_by_name() {
        assert!(parse(b"%ff=1").is_err());
        assert_eq!(parse(b"a=%ff").expect_err("no UTF-8").message, "a: the value is not UTF-8");
    }

    #[test]
    fn parameters_are_bounded() {
        let many = "a&".repeat(PARAMETERS_MAX + 1);
        assert!(parse(many.as_bytes()).expect_err("too many").message.contains("more than 10000"));
    }
}
