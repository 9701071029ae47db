//! Measures a version's calls: counters from `/metrics`, durations from invocation records.

use std::time::Duration;

use anyhow::Context;
use jiff::civil::DateTime;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};

use super::metrics;
use super::plan::{Counters, runs_before_p95};
use crate::client::Client;
use crate::failure::Failure;

/// Format of times in the API.
const TIME: &str = "%Y-%m-%d %H:%M:%S";
/// Largest `Offset` of the API's listings.
const SKIPPED_MAX: u64 = 9_999;

/// Measures the versions of one function.
pub struct Meter<'a> {
    pub client: &'a Client,
    pub function: &'a str,
    pub namespace: &'a str,
}

impl Meter<'_> {
    /// Reads the counters of two versions at the same time.
    pub async fn counters(&self, one: &str, other: &str) -> anyhow::Result<(Counters, Counters)> {
        let text = self.client.metrics().await?;
        let of = |version| metrics::counters(&text, self.namespace, self.function, version);
        Ok((of(one), of(other)))
    }

    /// Returns the 95th percentile of the durations of successful invocations, in milliseconds,
    /// since `since`, which was `elapsed` ago. If there are more invocations than the API's limit,
    /// only later ones count. `None` without any.
    pub async fn p95_ms(&self, version: &str, since: &str, elapsed: Duration) -> anyhow::Result<Option<f64>> {
        let mut left_out = Duration::ZERO;
        loop {
            let start = later(since, left_out)?;
            let narrower = elapsed.saturating_sub(left_out) / 2;
            match self.p95_since(version, &start).await {
                Ok(Query::P95(p95_ms)) => return Ok(p95_ms),
                Err(error) if !is_too_much(&error) => return Err(error),
                _ if narrower < Duration::from_secs(1) => return Ok(None),
                _ => left_out += narrower,
            }
        }
    }

    async fn p95_since(&self, version: &str, start: &str) -> anyhow::Result<Query> {
        let longest = self.runs(version, start, 0).await?;
        let total = longest.get("TotalCount").and_then(Value::as_u64).unwrap_or_default();
        let skipped = runs_before_p95(total);
        if skipped > SKIPPED_MAX {
            return Ok(Query::TooMany);
        }
        let found = if skipped == 0 { longest } else { self.runs(version, start, skipped).await? };
        Ok(Query::P95(found.pointer("/Data/0/Duration").and_then(Value::as_f64)))
    }

    /// Reads the longest invocation after the `skipped` longest ones.
    async fn runs(&self, version: &str, start: &str, skipped: u64) -> anyhow::Result<Value> {
        let request = json!({
            "FunctionName": self.function, "Namespace": self.namespace, "Qualifier": version,
            "Filter": {"RetCode": "is0"}, "StartTime": start, "OrderBy": "duration", "Order": "desc",
            "Offset": skipped, "Limit": 1,
        });
        self.client.call("GetFunctionLogs", &request).await
    }
}

/// Result of a query.
enum Query {
    P95(Option<f64>),
    TooMany,
}

/// Whether the API rejected the query because more invocations match than its limit.
fn is_too_much(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Failure>().and_then(Failure::api_code);
    code == Some("FailedOperation.QueryError")
}

/// Adds a duration to a local time of the installation.
fn later(since: &str, by: Duration) -> anyhow::Result<String> {
    let time = DateTime::strptime(TIME, since).with_context(|| format!("{since:?} is not a time of the API"))?;
    let by = SignedDuration::try_from(by).context("a step is shorter than centuries")?;
    Ok(time.checked_add(by.as_secs().seconds())?.strftime(TIME).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_advance_over_the_end_of_a_day() {
        let moved = later("2024-02-29 23:59:30", Duration::from_millis(31_900)).expect("a time");
        assert_eq!(moved, "2024-03-01 00:00:01");
        assert!(later("yesterday", Duration::ZERO).is_err());
    }
}
