//! The external URL of the gateway: the setting `gateway.public_url`.

use http::Uri;
use serde::{Deserialize, Serialize};

/// `http://` or `https://` with a host, optionally a port and a path; without a final slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(String);

/// A text that is not a usable URL, or that would put a password into responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a URL that clients can call; write http:// or https://, a host, and maybe a port and a path")]
pub struct InvalidPublicUrl;

impl TryFrom<String> for PublicUrl {
    type Error = InvalidPublicUrl;

    fn try_from(text: String) -> Result<Self, InvalidPublicUrl> {
        let bare = text.trim_end_matches('/');
        let uri: Uri = bare.parse().map_err(|_| InvalidPublicUrl)?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.authority().is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'));
        match web && host && uri.query().is_none() && !text.contains('#') {
            true => Ok(Self(bare.to_owned())),
            false => Err(InvalidPublicUrl),
        }
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_can_be_called_and_holds_no_password() {
        let read = |text: &str| PublicUrl::try_from(text.to_owned()).map(String::from);
        for (text, url) in [
            ("https://fn.example.com", "https://fn.example.com"),
            ("http://10.0.0.5:7080/", "http://10.0.0.5:7080"),
            ("https://example.com/functions/", "https://example.com/functions"),
        ] {
            assert_eq!(read(text), Ok(url.to_owned()), "{text}");
        }
        for text in [
            "",
            "fn.example.com",
            "/fn",
            "ftp://a.example",
            "https://",
            "https://u:p@a.example",
            "https://a/?x=1",
            "https://a/#b",
        ] {
            assert_eq!(read(text), Err(InvalidPublicUrl), "{text}");
        }
    }
}
