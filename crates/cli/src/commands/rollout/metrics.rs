//! Parses the counters of a function's versions from the text of `/metrics`. Pure.

use std::collections::HashMap;

use super::plan::Counters;

/// Finished invocations, by status code.
const INVOCATIONS: &str = "sampan_invocations_total";
/// Answers of web functions with an HTTP status of 400 or more, by class.
const HTTP_ERRORS: &str = "sampan_http_errors_total";

/// Status codes that are not counted for the version: invalid calls (400, 406, 436), client
/// disconnects (499), and exceeded quotas (429, 432); contract, section 4.5.
const NOT_OF_THE_VERSION: [&str; 6] = ["400", "406", "436", "499", "429", "432"];

/// Sums the counters of a version.
pub fn counters(text: &str, namespace: &str, function: &str, version: &str) -> Counters {
    let mut counters = Counters::default();
    for line in text.lines() {
        let Some((name, labels, value)) = sample(line) else { continue };
        let is = |label: &str, wanted: &str| labels.get(label).is_some_and(|value| *value == wanted);
        if !(is("namespace", namespace) && is("function", function) && is("version", version)) {
            continue;
        }
        match (name, labels.get("status"), labels.get("class")) {
            (INVOCATIONS, Some(status), _) if !NOT_OF_THE_VERSION.contains(status) => {
                counters.calls += value;
                counters.errors += if *status == "200" { 0 } else { value };
            }
            (HTTP_ERRORS, _, Some(&"5xx")) => counters.errors += value,
            _ => {}
        }
    }
    counters
}

/// Parses a line `name{label="value",…} number`. Label values here have neither quotes nor commas.
fn sample(line: &str) -> Option<(&str, HashMap<&str, &str>, u64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let pair = |pair| str::split_once(pair, '=').map(|(name, value)| (name, value.trim_matches('"')));
    let labels = labels.split(',').filter_map(pair).collect();
    Some((name, labels, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP sampan_invocations_total Invocations that outcome
# TYPE sampan_invocations_total counter
sampan_invocations_total{function="web",namespace="default",version="2",status="200"} 90
sampan_invocations_total{function="web",namespace="default",version="2",status="439"} 4
sampan_invocations_total{function="web",namespace="default",version="2",status="499"} 50
sampan_invocations_total{function="web",namespace="default",version="1",status="200"} 1000
sampan_invocations_total{function="web",namespace="other",version="2",status="433"} 7
sampan_http_errors_total{function="web",namespace="default",version="2",class="5xx"} 6
sampan_http_errors_total{function="web",namespace="default",version="2",class="4xx"} 11
sampan_invocation_duration_seconds{function="web",namespace="default",quantile="0.5"} 0.0012
"#;

    #[test]
    fn failed_invocations_and_5xx_answers_are_errors() {
        let of = |version| counters(TEXT, "default", "web", version);
        assert_eq!(of("2"), Counters { calls: 94, errors: 10 });
        assert_eq!(of("1"), Counters { calls: 1000, errors: 0 });
        assert_eq!(of("3"), Counters::default());
    }
}
