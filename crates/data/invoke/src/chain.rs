//! Chains of events: a run receives the number of events that led to it, and passes it on with the
//! events that it causes, so that loops are detected. Pure.

use http::header::{HeaderMap, HeaderName};

/// Number of events that led to a run, each caused by a run or the end of the previous one. A
/// function that passes on a smaller number only makes a loop longer; one that passes on a larger
/// number stops earlier.
pub const CHAIN_DEPTH: HeaderName = HeaderName::from_static("x-scf-chain-depth");

/// A header that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("X-Scf-Chain-Depth must be one whole number: pass it on as the run got it, or leave it out")]
pub struct NotADepth;

/// The number of events that led to a request: 0 where no run has sent it.
///
/// # Errors
/// When the header is present but not a number.
pub fn chain_depth(headers: &HeaderMap) -> Result<u32, NotADepth> {
    let mut values = headers.get_all(&CHAIN_DEPTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(0),
        (Some(value), None) => {
            let of_run = value.to_str().ok().and_then(|text| text.parse().ok());
            of_run.map(deeper).ok_or(NotADepth)
        }
        (Some(_), Some(_)) => Err(NotADepth),
    }
}

/// The depth of events caused by a run of that depth.
pub fn deeper(of_run: u32) -> u32 {
    of_run.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_run_causes_is_one_deeper() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CHAIN_DEPTH, HeaderValue::from_str(value).expect("a value"));
            }
            chain_depth(&headers)
        };
        assert_eq!((read(&[]), read(&["0"]), read(&["15"])), (Ok(0), Ok(1), Ok(16)));
        assert_eq!(read(&["4294967295"]), Ok(u32::MAX));
        for wrong in [&["-1"][..], &["a"], &[""], &["1", "1"], &["4294967296"]] {
            assert_eq!(read(wrong), Err(NotADepth), "{wrong:?}");
        }
    }
}
