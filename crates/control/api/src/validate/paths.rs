//! Paths of custom domains: match patterns and rewrite targets. Pure.

use types::{ApiError, ErrorCode};

use super::{filled, invalid, quoted, required};

/// Longest path, in bytes.
const LEN_MAX: usize = 1024;

/// `/`, `/*`, `/a`, `/a/b` or `/a/*`: `*` is allowed only as the last segment.
pub(crate) fn pattern(field: &str, text: Option<&str>) -> Result<String, ApiError> {
    let text = required(field, filled(text))?;
    let fixed = text.strip_suffix("/*").unwrap_or(text);
    let segments = fixed.strip_prefix('/').unwrap_or(fixed).split('/');
    let whole = text == "/" || text == "/*" || (text.starts_with('/') && segments.clone().all(|s| !s.is_empty()));
    if text.len() <= LEN_MAX && whole && fixed.bytes().all(|b| is_plain(b) && b != b'*' && b != b'$') {
        return Ok(text.to_owned());
    }
    let problem = format!("{} is no path of an endpoint; use /, /*, /a, /a/b or /a/*, without '?'", quoted(text));
    Err(invalid(ErrorCode::INVALID_VALUE, field, problem))
}

/// Target of a rewrite; `$` is replaced by the text that `*` matched.
pub(crate) fn replacement(field: &str, text: Option<&str>) -> Result<String, ApiError> {
    let text = required(field, filled(text))?;
    if text.len() <= LEN_MAX && text.starts_with('/') && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let problem =
        format!("{} is no path to rewrite to; begin with / and leave out '?', such as / or /a/$", quoted(text));
    Err(invalid(ErrorCode::INVALID_VALUE, field, problem))
}

/// Bytes allowed in a path without percent-encoding (RFC 3986 section 3.3).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_the_whole_last_segment() {
        for good in ["/", "/*", "/a", "/a/b", "/a/*", "/a/b/*", "/%41-_.~"] {
            assert_eq!(pattern("PathMatch", Some(good)), Ok(good.to_owned()));
        }
        for bad in ["a", "*", "//", "/a/", "/a*", "/*/a", "/a//b", "/a?b", "/a#b", "/a b", "/é", "/**", "/$"] {
            assert_eq!(pattern("PathMatch", Some(bad)).expect_err(bad).code.name, "InvalidParameterValue");
        }
        assert_eq!(pattern("PathMatch", None).expect_err("missing").code.name, "MissingParameter");
        assert!(pattern("PathMatch", Some(&format!("/{}", "a".repeat(1024)))).is_err());
    }

    #[test]
    fn paths_become_paths() {
        for good in ["/", "/$", "/api/$", "/a//b/"] {
            assert_eq!(replacement("Rewrite", Some(good)), Ok(good.to_owned()));
        }
        for bad in ["a", "$", "/a?b", "/a b", "http://a/"] {
            assert!(replacement("Rewrite", Some(bad)).is_err(), "{bad}");
        }
    }
}
