//! Host names and patterns of them. Pure.

use std::fmt;
use std::str::FromStr;

use crate::limits::HOST_LEN_MAX;

/// Prefix of a pattern that matches all names below its domain.
const ANY_BELOW: &str = "*.";
/// Longest label of a name (RFC 1035, 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// A host name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// In lower case, without a final dot.
    domain: String,
    below: bool,
}

impl NamePattern {
    /// Whether a name matches; it may have any case, and no final dot.
    pub fn matches(&self, name: &str) -> bool {
        let Some(before) = name.len().checked_sub(self.domain.len()) else { return false };
        let Some((before, domain)) = name.split_at_checked(before) else { return false };
        domain.eq_ignore_ascii_case(&self.domain) && if self.below { before.ends_with('.') } else { before.is_empty() }
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (below, domain) = text.strip_prefix(ANY_BELOW).map_or((false, text), |domain| (true, domain));
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| {
            (1..=LABEL_LEN_MAX).contains(&label.len()) && label.bytes().all(of_name) && !label.starts_with('-')
        };
        // A name with a numeric last label is a mistyped address.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let last = domain.rsplit('.').next().unwrap_or_default();
        if domain.len() > HOST_LEN_MAX || !domain.split('.').all(is_label) || is_number(last) {
            return Err("is neither a range of addresses nor a name such as db.example.com or *.example.com".to_owned());
        }
        Ok(Self { domain, below })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { ANY_BELOW } else { "" }, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_a_star_is_all_below() {
        let matches = |pattern: &str, name: &str| pattern.parse::<NamePattern>().expect("a name").matches(name);
        assert!(matches("db.example.com", "DB.example.COM"));
        assert!(!matches("db.example.com", "x.db.example.com") && !matches("db.example.com", "example.com"));
        assert!(matches("*.example.com", "a.b.example.com") && matches("*.example.com", "a.example.com"));
        for other in ["example.com", "badexample.com", "example.com.evil.org", "", "ñexample.com"] {
            assert!(!matches("*.example.com", other), "{other}");
        }
    }
}
