//! Routes of aliases: one version, or two with a rule.

use serde::{Deserialize, Serialize};

use crate::ids::{FunctionId, VersionName};

/// Denominator of weights.
pub const WEIGHT_PARTS: u32 = 1_000_000;

/// Route of an alias (contract 4.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The main version; gets all calls that the additional one does not.
    pub version: VersionName,
    /// Gets some of the calls; never equals the main version.
    pub additional: Option<Additional>,
}

/// The additional version of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Additional {
    /// The version.
    pub version: VersionName,
    /// The calls that it gets.
    pub when: When,
}

/// Selects the calls of the additional version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// A random share of calls.
    Weight(Weight),
    /// Calls with a matching header.
    Header {
        /// Name of the header, with letters of any case, without the API's prefix
        /// `invoke.headers.`.
        name: String,
        /// Condition on its value.
        value: HeaderValue,
    },
}

/// A share of all calls, in parts of [`WEIGHT_PARTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weight(u32);

impl Weight {
    /// Converts the API's share, 0 to 1; `None` for other values.
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        // The product is between 0 and the number of parts, which fits.
        (0.0..=1.0).contains(&fraction).then(|| Self((fraction * f64::from(WEIGHT_PARTS)).round() as u32))
    }

    /// The share in the API's form.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(WEIGHT_PARTS)
    }
}

/// Condition on the value of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValue {
    /// Equals this text.
    Exact(String),
    /// An integer in this range, both ends included. Excluded ends of the API's notation are moved
    /// inwards by one.
    Range {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
}

impl HeaderValue {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => value == text,
            Self::Range { min, max } => value.trim().parse().is_ok_and(|number: i64| (*min..=*max).contains(&number)),
        }
    }
}

/// Properties of a call that choose between two versions.
#[derive(Clone, Copy)]
pub struct RouteBy<'a> {
    /// Position of the call among [`WEIGHT_PARTS`]; equal in all attempts of a call.
    pub draw: u32,
    /// Returns the value of a header, or of the routing key's entry, by a name of any case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

impl RouteBy<'_> {
    /// For lookups without a call: every alias resolves to its main version.
    pub const MAIN: RouteBy<'static> = RouteBy { draw: WEIGHT_PARTS, header: &|_| None };
}

impl Route {
    /// All calls to one version.
    pub fn to(version: VersionName) -> Self {
        Self { version, additional: None }
    }

    /// The version for a call.
    pub fn choose(&self, by: RouteBy<'_>) -> VersionName {
        match &self.additional {
            Some(Additional { version, when: When::Weight(weight) }) if by.draw < weight.0 => *version,
            Some(Additional { version, when: When::Header { name, value } })
                if (by.header)(name).is_some_and(|given| value.matches(&given)) =>
            {
                *version
            }
            _ => self.version,
        }
    }

    /// All versions of the route.
    pub fn versions(&self) -> impl Iterator<Item = VersionName> {
        std::iter::once(self.version).chain(self.additional.iter().map(|additional| additional.version))
    }
}

/// A stored alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasRecord {
    /// Its function.
    pub function_id: FunctionId,
    /// `$DEFAULT` or a user-defined name.
    pub name: String,
    /// Its route.
    pub route: Route,
    /// Free text.
    pub description: String,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: VersionName = VersionName::Number(1);
    const TWO: VersionName = VersionName::Number(2);

    fn with(when: When) -> Route {
        Route { version: ONE, additional: Some(Additional { version: TWO, when }) }
    }

    #[test]
    fn a_weight_is_a_share_of_the_draws() {
        let route = with(When::Weight(Weight::from_fraction(0.05).expect("a share")));
        let to_two = (0..WEIGHT_PARTS).filter(|draw| route.choose(RouteBy { draw: *draw, ..RouteBy::MAIN }) == TWO);
        assert_eq!(to_two.count(), 50_000);
        assert_eq!(route.choose(RouteBy::MAIN), ONE);
        let all = with(When::Weight(Weight::from_fraction(1.0).expect("a share")));
        assert_eq!(all.choose(RouteBy { draw: WEIGHT_PARTS - 1, ..RouteBy::MAIN }), TWO);
    }

    #[test]
    fn no_share_is_outside_of_the_whole() {
        for fraction in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::from_fraction(fraction), None, "{fraction}");
        }
    }

    #[test]
    fn a_header_chooses_by_text_or_by_number() {
        let name = "user".to_owned();
        let exact = with(When::Header { name: name.clone(), value: HeaderValue::Exact("a".into()) });
        let range = with(When::Header { name, value: HeaderValue::Range { min: -1, max: 5 } });
        for (value, of_exact, of_range) in [("a", TWO, ONE), ("A", ONE, ONE), ("5", ONE, TWO), ("6", ONE, ONE)] {
            let header = |name: &str| (name == "user").then(|| value.to_owned());
            let by = RouteBy { draw: 0, header: &header };
            assert_eq!((exact.choose(by), range.choose(by)), (of_exact, of_range), "{value}");
        }
        assert_eq!(exact.choose(RouteBy::MAIN), ONE);
    }
}
