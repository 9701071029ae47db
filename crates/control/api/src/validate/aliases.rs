//! Names and routes of aliases: a version, and optionally a second one with a weight or a rule
//! (contract 4.10).

use serde::{Deserialize, Serialize};
use types::alias::{Additional, HeaderValue, Weight, When};
use types::{ApiError, ErrorCode, Qualifier, Route, VersionName};

use super::{filled, invalid, quoted, required};

/// Prefix of every rule's key.
pub(crate) const KEY_PREFIX: &str = "invoke.headers.";
/// Longest expression of a rule, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1024;
/// Longest name of a header, in bytes.
const HEADER_NAME_BYTES_MAX: usize = 256;

/// `RoutingConfig`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RoutingConfig {
    /// Routes a share of the calls; at most one entry.
    pub additional_version_weights: Option<Vec<VersionWeight>>,
    /// Routes calls with a header (the API's spelling); at most one entry.
    pub addtion_version_matchs: Option<Vec<VersionMatch>>,
}

/// `VersionWeight`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VersionWeight {
    pub version: Option<String>,
    pub weight: Option<f64>,
}

/// `VersionMatch`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct VersionMatch {
    pub version: Option<String>,
    pub key: Option<String>,
    /// `exact` or `range`.
    pub method: Option<String>,
    pub expression: Option<String>,
}

/// The name of an existing alias.
pub(crate) fn name(text: &str) -> Result<&str, ApiError> {
    match text.parse() {
        Ok(Qualifier::Alias(_)) => Ok(text),
        _ => {
            let problem = format!(
                "{} cannot be an alias; use 1 to 64 letters, digits, '-' and '_', beginning with a letter",
                quoted(text)
            );
            Err(invalid(ErrorCode::INVALID_VALUE_NAME, "Name", problem))
        }
    }
}

/// A version by its name.
pub(crate) fn version(field: &str, text: &str) -> Result<VersionName, ApiError> {
    text.parse().map_err(|error| invalid(ErrorCode::RESOURCE_NOT_FOUND_FUNCTION_VERSION, field, error))
}

/// `FunctionVersion` and `RoutingConfig`.
pub(crate) fn route(main: Option<&str>, config: Option<&RoutingConfig>) -> Result<Route, ApiError> {
    let main = version("FunctionVersion", required("FunctionVersion", filled(main))?)?;
    let weights = config.and_then(|config| config.additional_version_weights.as_deref()).unwrap_or_default();
    let matches = config.and_then(|config| config.addtion_version_matchs.as_deref()).unwrap_or_default();
    let additional = match (weights, matches) {
        ([], []) => return Ok(Route::to(main)),
        ([weight], []) => weighted(weight)?,
        ([], [rule]) => matched(rule)?,
        ([_, ..], [_, ..]) => {
            let problem = "AdditionalVersionWeights and AddtionVersionMatchs exclude each other; use one of them";
            return Err(invalid(ErrorCode::INVALID_ROUTING_CONFIG, "RoutingConfig", problem));
        }
        ([_, _, ..], []) => {
            let (code, field) =
                (ErrorCode::INVALID_VALUE_ADDITIONAL_VERSION_WEIGHTS, "RoutingConfig.AdditionalVersionWeights");
            return Err(invalid(code, field, "at most one additional version is allowed"));
        }
        ([], [_, _, ..]) => {
            let (code, field) = (ErrorCode::INVALID_VALUE_ROUTING_CONFIG, "RoutingConfig.AddtionVersionMatchs");
            return Err(invalid(code, field, "at most one additional version is allowed"));
        }
    };
    if additional.version == main {
        let problem = format!("version {main} is the main version; the additional one must be another");
        return Err(invalid(ErrorCode::INVALID_VALUE_ROUTING_CONFIG, "RoutingConfig", problem));
    }
    Ok(Route { version: main, additional: Some(additional) })
}

fn weighted(given: &VersionWeight) -> Result<Additional, ApiError> {
    let field = |name: &str| format!("RoutingConfig.AdditionalVersionWeights.0.{name}");
    let to = version(&field("Version"), required(&field("Version"), filled(given.version.as_deref()))?)?;
    let fraction = required(&field("Weight"), given.weight)?;
    let weight = Weight::from_fraction(fraction).ok_or_else(|| {
        let problem = format!("{fraction} is not allowed; use 0 to 1, the share of the calls");
        invalid(ErrorCode::INVALID_VALUE_ADDITIONAL_VERSION_WEIGHTS, &field("Weight"), problem)
    })?;
    Ok(Additional { version: to, when: When::Weight(weight) })
}

fn matched(given: &VersionMatch) -> Result<Additional, ApiError> {
    let field = |name: &str| format!("RoutingConfig.AddtionVersionMatchs.0.{name}");
    let wrong = |name: &str, problem: String| invalid(ErrorCode::INVALID_VALUE_ROUTING_CONFIG, &field(name), problem);
    let to = version(&field("Version"), required(&field("Version"), filled(given.version.as_deref()))?)?;
    let key = required(&field("Key"), filled(given.key.as_deref()))?;
    let header = key.strip_prefix(KEY_PREFIX).filter(|header| is_header_name(header)).ok_or_else(|| {
        wrong("Key", format!("{} is not allowed; use {KEY_PREFIX} and the name of a header", quoted(key)))
    })?;
    let expression = required(&field("Expression"), filled(given.expression.as_deref()))?;
    if expression.len() > EXPRESSION_BYTES_MAX {
        let problem = format!("it has {} bytes; at most {EXPRESSION_BYTES_MAX} are allowed", expression.len());
        return Err(wrong("Expression", problem));
    }
    let value = match required(&field("Method"), filled(given.method.as_deref()))? {
        "exact" => HeaderValue::Exact(expression.to_owned()),
        "range" => range(expression).ok_or_else(|| {
            let problem = format!("{} holds no integer; use (a,b) or [a,b] with integers", quoted(expression));
            wrong("Expression", problem)
        })?,
        other => return Err(wrong("Method", format!("{} is neither exact nor range", quoted(other)))),
    };
    Ok(Additional { version: to, when: When::Header { name: header.to_owned(), value } })
}

fn is_header_name(text: &str) -> bool {
    text.len() <= HEADER_NAME_BYTES_MAX && http::HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// Parses `(a,b)` with excluded bounds or `[a,b]` with included ones; `None` for other texts and
/// for ranges without an integer.
fn range(expression: &str) -> Option<HeaderValue> {
    let expression = expression.trim();
    let closed = expression.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let open = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let (ends, step) = closed.map(|ends| (ends, 0)).or(open.map(|ends| (ends, 1)))?;
    let (low, high) = ends.split_once(',')?;
    let end = |text: &str| text.trim().parse::<i64>().ok();
    let (min, max) = (end(low)?.checked_add(step)?, end(high)?.checked_sub(step)?);
    (min <= max).then_some(HeaderValue::Range { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: VersionName = VersionName::Number(1);
    const TWO: VersionName = VersionName::Number(2);

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn weights(of: &[(&str, f64)]) -> RoutingConfig {
        let weight = |(version, weight): &(&str, f64)| VersionWeight { version: text(version), weight: Some(*weight) };
        RoutingConfig { additional_version_weights: Some(of.iter().map(weight).collect()), ..RoutingConfig::default() }
    }

    fn rule(key: &str, method: &str, expression: &str) -> RoutingConfig {
        let rule =
            VersionMatch { version: text("2"), key: text(key), method: text(method), expression: text(expression) };
        RoutingConfig { addtion_version_matchs: Some(vec![rule]), ..RoutingConfig::default() }
    }

    fn code(config: RoutingConfig) -> &'static str {
        route(Some("1"), Some(&config)).map_or_else(|error| error.code.name, |_| "")
    }

    #[test]
    fn a_route_has_a_main_version_and_at_most_one_beside_it() {
        assert_eq!(route(Some("1"), None), Ok(Route::to(ONE)));
        assert_eq!(route(Some("$LATEST"), Some(&weights(&[]))), Ok(Route::to(VersionName::Latest)));
        let when = When::Weight(Weight::from_fraction(0.05).expect("a share"));
        let additional = Some(Additional { version: TWO, when });
        assert_eq!(route(Some("1"), Some(&weights(&[("2", 0.05)]))), Ok(Route { version: ONE, additional }));
        assert_eq!(route(None, None).expect_err("no version").code.name, "MissingParameter");
        assert_eq!(route(Some("prod"), None).expect_err("no version").code.name, "ResourceNotFound.FunctionVersion");
        assert_eq!(code(weights(&[("2", 0.1), ("3", 0.1)])), "InvalidParameterValue.AdditionalVersionWeights");
        assert_eq!(code(weights(&[("2", 1.1)])), "InvalidParameterValue.AdditionalVersionWeights");
        assert_eq!(code(weights(&[("1", 0.5)])), "InvalidParameterValue.RoutingConfig");
        let both = RoutingConfig {
            addtion_version_matchs: rule("invoke.headers.user", "exact", "a").addtion_version_matchs,
            ..weights(&[("2", 0.5)])
        };
        assert_eq!(code(both), "InvalidParameter.RoutingConfig");
    }

    #[test]
    fn a_rule_names_a_header_as_it_is_given() {
        let config = rule("invoke.headers.X-User", "exact", "Ann");
        let when = When::Header { name: "X-User".to_owned(), value: HeaderValue::Exact("Ann".to_owned()) };
        let additional = route(Some("1"), Some(&config)).expect("valid").additional.expect("a second version");
        assert_eq!((additional.version, additional.when), (TWO, when));
        for (key, method, expression) in [
            ("user", "exact", "a"),
            ("invoke.headers.", "exact", "a"),
            ("invoke.headers.a b", "exact", "a"),
            ("invoke.headers.user", "prefix", "a"),
            ("invoke.headers.user", "range", "1-2"),
        ] {
            assert_eq!(code(rule(key, method, expression)), "InvalidParameterValue.RoutingConfig", "{key} {method}");
        }
        assert_eq!(code(rule("invoke.headers.user", "exact", "")), "MissingParameter");
    }

    #[test]
    fn ranges_are_open_or_closed() {
        let ends = |expression| match range(expression) {
            Some(HeaderValue::Range { min, max }) => Some((min, max)),
            _ => None,
        };
        assert_eq!((ends("[1,5]"), ends("(1,5)"), ends(" [ -3 , -3 ] ")), (Some((1, 5)), Some((2, 4)), Some((-3, -3))));
        for none in ["(1,2)", "[2,1]", "[1,5)", "1,5", "[a,b]", "[1]", "", "(9223372036854775807,1)"] {
            assert_eq!(ends(none), None, "{none}");
        }
    }

    #[test]
    fn names_follow_the_contract() {
        for good in ["a", "prod-2_x", "$DEFAULT", &"a".repeat(64)] {
            assert_eq!(name(good), Ok(good));
        }
        for bad in ["1", "$LATEST", "-a", "a b", "é", &"a".repeat(65)] {
            assert_eq!(name(bad).expect_err(bad).code.name, "InvalidParameterValue.Name");
        }
    }
}
