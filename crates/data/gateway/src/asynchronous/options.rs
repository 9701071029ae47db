//! Options of an asynchronous call, from its headers. Pure.

use http::{HeaderMap, HeaderName};

use super::config::AsyncConfig;

const X_DELAY_SECONDS: HeaderName = HeaderName::from_static("x-delay-seconds");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_CALLBACK_URL: HeaderName = HeaderName::from_static("x-callback-url");

/// Options of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Seconds until the call is due.
    pub delay_s: u32,
    /// Identifies repetitions of the call.
    pub idempotency_key: Option<String>,
    /// URL to which its result is posted.
    pub callback: Option<String>,
}

/// An invalid header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// The delay.
    #[error("X-Delay-Seconds must be whole seconds from 0 to {max} (setting gateway.async.delay_s_max)")]
    Delay {
        /// The longest.
        max: u32,
    },
    /// The key.
    #[error(
        "Idempotency-Key must be 1 to {max} characters of printable ASCII (setting \
         gateway.async.idempotency_key_bytes_max)"
    )]
    Key {
        /// The longest.
        max: usize,
    },
    /// It has several values.
    #[error("the request has the header {0} more than once")]
    Several(HeaderName),
    /// The callback.
    #[error("X-Callback-Url must be a URL in printable ASCII")]
    Callback,
}

/// Takes the options out of a request's headers. The key stays in them: a function may use it for
/// its own calls.
pub fn take(headers: &mut HeaderMap, config: &AsyncConfig) -> Result<Options, BadOption> {
    let delay_s = match one(headers, &X_DELAY_SECONDS)? {
        None => 0,
        Some(value) => delay(value, config.delay_s_max).ok_or(BadOption::Delay { max: config.delay_s_max })?,
    };
    let idempotency_key = match one(headers, &IDEMPOTENCY_KEY)? {
        None => None,
        Some(value) => {
            let max = config.idempotency_key_bytes_max;
            Some(key(value, max).ok_or(BadOption::Key { max })?)
        }
    };
    // The queue checks whether its host is allowed.
    let callback = match one(headers, &X_CALLBACK_URL)? {
        None => None,
        Some(value) => Some(key(value, usize::MAX).ok_or(BadOption::Callback)?),
    };
    headers.remove(X_DELAY_SECONDS);
    headers.remove(X_CALLBACK_URL);
    Ok(Options { delay_s, idempotency_key, callback })
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, BadOption> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(BadOption::Several(name.clone())),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}

fn delay(value: &[u8], max: u32) -> Option<u32> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let seconds = digits.then(|| std::str::from_utf8(value).ok()?.parse::<u32>().ok()).flatten()?;
    (seconds <= max).then_some(seconds)
}

fn key(value: &[u8], max: usize) -> Option<String> {
    let fits = (1..=max).contains(&value.len()) && value.iter().all(|byte| (0x20..0x7f).contains(byte));
    fits.then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn taken(pairs: &[(&'static str, &str)]) -> Result<Options, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        take(&mut headers, &AsyncConfig { delay_s_max: 60, ..AsyncConfig::default() }).map_err(|bad| bad.to_string())
    }

    #[test]
    fn delays_are_whole_seconds_within_their_bound() {
        assert_eq!(taken(&[]), Ok(Options::default()));
        for (value, seconds) in [("0", 0), ("7", 7), ("60", 60), ("007", 7)] {
            assert_eq!(taken(&[("x-delay-seconds", value)]).map(|options| options.delay_s), Ok(seconds));
        }
        for value in ["", "-1", "+1", "1.5", "61", "1 ", "soon", "99999999999"] {
            let bad = taken(&[("x-delay-seconds", value)]).expect_err(value);
            assert!(bad.contains("from 0 to 60 (setting gateway.async.delay_s_max)"), "{bad}");
        }
    }

    #[test]
    fn keys_are_printable_and_bounded() {
        let key = |value: &str| taken(&[("idempotency-key", value)]).map(|options| options.idempotency_key);
        assert_eq!(key("\"8e03978e\""), Ok(Some("\"8e03978e\"".to_owned())));
        assert!(key(&"k".repeat(255)).is_ok());
        for bad in [String::new(), "k".repeat(256), "ключ".to_owned()] {
            assert!(key(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_heeded_is_refused() {
        assert!(taken(&[("x-callback-url", "")]).expect_err("refused").contains("X-Callback-Url"));
        let url = "https://hooks.example.com/a";
        assert_eq!(taken(&[("x-callback-url", url)]).map(|options| options.callback), Ok(Some(url.to_owned())));
        let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
        assert!(taken(&twice).expect_err("refused").contains("more than once"));
    }
}
