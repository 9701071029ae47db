//! The operator's proxies, whose `X-Forwarded-*` are trusted: the settings
//! `gateway.trust_forwarded` and `gateway.trusted_proxies`. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use types::egress::IpRange;

/// The addresses of the client and of the proxies behind it.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses of proxies: `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct TrustedProxies(Vec<IpRange>);

impl TrustedProxies {
    /// Whether an address is a proxy's.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(address))
    }

    /// The client of a request that such a proxy forwards: the last address in `X-Forwarded-For`
    /// that is not a proxy's itself. The client may have written those before it.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let values = headers.get_all(X_FORWARDED_FOR).iter().rev().map_while(|value| value.to_str().ok());
        let addresses = values.flat_map(|value| value.rsplit(',')).map_while(|text| text.trim().parse::<IpAddr>().ok());
        let mut first = None;
        for address in addresses.map(|address| address.to_canonical()) {
            first = Some(address);
            if !self.has(address) {
                break;
            }
        }
        first
    }
}

impl TryFrom<Vec<String>> for TrustedProxies {
    type Error = String;

    fn try_from(entries: Vec<String>) -> Result<Self, String> {
        let range = |entry: String| entry.parse().map_err(|problem: String| format!("{entry:?} {problem}"));
        entries.into_iter().map(range).collect::<Result<_, _>>().map(Self)
    }
}

impl From<TrustedProxies> for Vec<String> {
    fn from(proxies: TrustedProxies) -> Self {
        proxies.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(entries: &[&str]) -> TrustedProxies {
        TrustedProxies::try_from(entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).expect("ranges")
    }

    #[test]
    fn proxies_are_those_in_the_ranges() {
        let proxies = proxies(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(proxies.has(address.parse().expect("an address")), expected, "{address}");
        }
        assert!(
            TrustedProxies::try_from(vec!["10.0.0.1/8".to_owned()]).is_err_and(|error| error.contains("10.0.0.0/8?"))
        );
        assert!(TrustedProxies::try_from(vec!["proxy".to_owned()]).is_err());
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxys() {
        let proxies = proxies(&["10.0.0.0/8"]);
        for (values, expected) in [
            (&["203.0.113.9"][..], Some("203.0.113.9")),
            // The client wrote the first one itself.
            (&["198.51.100.1, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            (&["198.51.100.1", "203.0.113.9, 10.0.0.2", "10.0.0.3"], Some("203.0.113.9")),
            (&["10.0.0.9, 10.0.0.2"], Some("10.0.0.9")),
            (&["198.51.100.1, unknown"], None),
            (&["unknown, 10.0.0.2"], Some("10.0.0.2")),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_FORWARDED_FOR, value.parse().expect("a value"));
            }
            assert_eq!(proxies.client(&headers), expected.map(|text| text.parse().expect("an address")), "{values:?}");
        }
    }
}
