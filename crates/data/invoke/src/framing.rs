//! Framing of a message whose head gives conflicting or invalid lengths (RFC 9112, 6.3; RFC 9110,
//! 8.6; RFC 9113, 8.1.1), for responses of instances and for requests to them, whichever version of
//! HTTP each side speaks. Pure.
//!
//! After the check a head has at most one length, which is a number and is that of the body that
//! follows.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};

/// Why the framing of a message is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidFraming {
    #[error("its Content-Length is no single number")]
    Length,
    #[error("its Transfer-Encoding is {0:?}, where only \"chunked\" can be passed on")]
    Coding(String),
}

/// The length in a head.
enum Length {
    None,
    /// The number in one line of its own.
    Plain(u64),
    /// The same number more than once.
    Repeated(u64),
    Invalid,
}

/// Keeps the one length of a response that counts. Returns whether the connection may be reused: if
/// the head gave two lengths, bytes of the other one may still arrive, and after a response without
/// a body a faulty server may still send one. Those bytes would be read as the response to the next
/// caller, so a new connection is preferred.
pub(crate) fn of_response(method: &Method, status: StatusCode, map: &mut HeaderMap) -> Result<bool, InvalidFraming> {
    let bodiless = status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let ends_with_head = bodiless || method == Method::HEAD;
    let length = length(map);
    let coded = map.contains_key(TRANSFER_ENCODING);
    let had_length = !matches!(length, Length::None | Length::Plain(0) | Length::Repeated(0));
    if coded {
        if !ends_with_head {
            check_coding(map)?;
        }
        map.remove(TRANSFER_ENCODING);
        map.remove(CONTENT_LENGTH);
    } else {
        match length {
            Length::None | Length::Plain(_) => {}
            Length::Repeated(bytes) => drop(map.insert(CONTENT_LENGTH, HeaderValue::from(bytes))),
            Length::Invalid if ends_with_head => drop(map.remove(CONTENT_LENGTH)),
            Length::Invalid => return Err(InvalidFraming::Length),
        }
    }
    if bodiless {
        map.remove(CONTENT_LENGTH);
    }
    Ok(!(ends_with_head || (coded && had_length)))
}

/// Keeps the one length of a caller's request that counts; a request with a transfer coding has
/// none.
pub(crate) fn of_request(map: &mut HeaderMap) -> Result<(), InvalidFraming> {
    if map.contains_key(TRANSFER_ENCODING) {
        check_coding(map)?;
        map.remove(CONTENT_LENGTH);
        return Ok(());
    }
    match length(map) {
        Length::None | Length::Plain(_) => {}
        Length::Repeated(bytes) => drop(map.insert(CONTENT_LENGTH, HeaderValue::from(bytes))),
        Length::Invalid => return Err(InvalidFraming::Length),
    }
    Ok(())
}

/// Accepts no coding but chunks: the library decodes nothing else.
fn check_coding(map: &HeaderMap) -> Result<(), InvalidFraming> {
    let codings: Vec<_> = map.get_all(TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    let codings = codings.join(&b", "[..]);
    if codings.trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    Err(InvalidFraming::Coding(String::from_utf8_lossy(&codings).into_owned()))
}

fn length(map: &HeaderMap) -> Length {
    let mut lines = map.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return Length::None };
    let rest = lines.next();
    if rest.is_none()
        && let Some(bytes) = number(first.as_bytes())
    {
        return Length::Plain(bytes);
    }
    let mut known = None;
    for line in [first].into_iter().chain(rest).chain(lines) {
        for item in line.as_bytes().split(|byte| *byte == b',') {
            match (number(item.trim_ascii()), known) {
                (Some(new), None) => known = Some(new),
                (Some(new), Some(bytes)) if new == bytes => {}
                _ => return Length::Invalid,
            }
        }
    }
    known.map_or(Length::Invalid, Length::Repeated)
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    const TE: &str = "transfer-encoding";
    const CL: &str = "content-length";

    #[test]
    fn an_answer_has_one_length_or_none() {
        let (get, head_request) = (Method::GET, Method::HEAD);
        let chunked = (TE, "chunked");
        type Headers<'a> = &'a [(&'static str, &'static str)];
        let table: &[(&Method, u16, Headers<'_>, Option<&str>, bool)] = &[
            (&get, 200, &[], None, true),
            (&get, 200, &[(CL, "5")], Some("5"), true),
            (&get, 200, &[(CL, "5"), (CL, "5")], Some("5"), true),
            (&get, 200, &[(CL, "5, 5")], Some("5"), true),
            (&get, 200, &[(CL, "5"), chunked], None, false),
            (&get, 200, &[chunked, (CL, "x")], None, false),
            (&get, 200, &[(TE, " Chunked ")], None, true),
            (&get, 204, &[(CL, "5")], None, false),
            (&get, 204, &[(CL, "0")], None, false),
            (&get, 204, &[chunked], None, false),
            (&get, 204, &[], None, false),
            (&get, 304, &[(CL, "5")], None, false),
            (&head_request, 200, &[(CL, "5")], Some("5"), false),
            (&head_request, 200, &[(CL, "5, 5")], Some("5"), false),
            (&head_request, 200, &[(CL, "5, 6")], None, false),
            (&head_request, 200, &[chunked], None, false),
        ];
        for (method, status, lines, wanted, reusable) in table {
            let mut map = head(lines);
            let status = StatusCode::from_u16(*status).expect("a status");
            assert_eq!(of_response(method, status, &mut map), Ok(*reusable), "{status} {lines:?}");
            let lengths: Vec<_> = map.get_all(CL).iter().map(|value| value.to_str().expect("text")).collect();
            assert_eq!(lengths, wanted.iter().copied().collect::<Vec<_>>(), "{method} {status} {lines:?}");
            assert!(!map.contains_key(TE));
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let lengths: &[&[(&'static str, &'static str)]] =
            &[&[(CL, "5"), (CL, "6")], &[(CL, "5, 6")], &[(CL, "+5")], &[(CL, "")], &[(CL, "99999999999999999999")]];
        for lines in lengths {
            assert_eq!(
                of_response(&Method::GET, StatusCode::OK, &mut head(lines)),
                Err(InvalidFraming::Length),
                "{lines:?}"
            );
            assert_eq!(of_request(&mut head(lines)), Err(InvalidFraming::Length), "{lines:?}");
        }
        for coding in ["gzip, chunked", "gzip", "chunked, chunked", ""] {
            let map = head(&[(TE, coding)]);
            assert!(of_response(&Method::GET, StatusCode::OK, &mut map.clone()).is_err(), "{coding}");
            assert!(of_request(&mut map.clone()).is_err(), "{coding}");
        }
    }

    #[test]
    fn a_request_has_one_length_or_is_coded() {
        for (lines, wanted) in [
            (&[(CL, "5"), (CL, "5")][..], Some("5")),
            (&[(CL, "5, 5")], Some("5")),
            (&[(CL, "5"), (TE, "chunked")], None),
            (&[], None),
        ] {
            let mut map = head(lines);
            assert_eq!(of_request(&mut map), Ok(()), "{lines:?}");
            assert_eq!(map.get(CL).map(|value| value.to_str().expect("text")), wanted, "{lines:?}");
            assert!(map.get_all(CL).iter().count() <= 1);
        }
    }
}
