//! `/metrics` and its access control.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use subtle::ConstantTimeEq;

use crate::credentials::Credentials;
use crate::failure::{Exit, Failure};
use crate::settings::{ControlConfig, MetricsAccess};

/// Interval of draining histogram samples.
const SAMPLES_INTERVAL: Duration = Duration::from_secs(30);

/// Upper bounds of duration buckets, in seconds: from a warm call to a long job.
const SECONDS: [f64; 18] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
    900.0,
];
/// Upper bounds of buckets of rows in one commit of the event queue.
const ROWS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Recorder of bounded memory: histograms have fixed buckets. Quantile sketches would take up to
/// 256 KB per function, and could not be aggregated over functions.
pub fn recorder() -> anyhow::Result<PrometheusBuilder> {
    let rows = Matcher::Full("sampan_events_commit_rows".to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS)?.set_buckets_for_metric(rows, &ROWS)?;
    Ok(builder)
}

/// The metrics and their access control.
pub struct Metrics {
    handle: PrometheusHandle,
    access: MetricsAccess,
    /// Accepted values of `Authorization`.
    keys: Vec<String>,
}

impl Metrics {
    /// Reads the token file, if one is configured.
    pub fn open(handle: PrometheusHandle, config: &ControlConfig, pair: &Credentials) -> anyhow::Result<Self> {
        let pair = BASE64_STANDARD.encode(format!("{}:{}", pair.secret_id, pair.secret_key));
        let mut keys = vec![format!("Basic {pair}")];
        if let Some(file) = &config.metrics_token_file {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read [control] metrics_token_file {}", file.display()))?;
            if text.trim().is_empty() {
                let message = format!("[control] metrics_token_file {} is empty", file.display());
                return Err(Failure::new(Exit::Usage, message, "Write a long random text into it.").into());
            }
            keys.push(format!("Bearer {}", text.trim()));
        }
        Ok(Self { handle, access: config.metrics, keys })
    }

    /// Drains histogram samples into their buckets until the future is dropped. The exporter drains
    /// them only when metrics are read, so without this its queues grow with each run.
    pub async fn take_samples(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SAMPLES_INTERVAL).await;
            let handle = self.handle.clone();
            // Blocking: it iterates over the series of all functions.
            tokio::task::spawn_blocking(move || handle.run_upkeep()).await.ok();
        }
    }

    /// Answers a request from an address.
    pub fn answer(&self, from: Option<IpAddr>, headers: &HeaderMap) -> Response {
        if self.may(from, headers) {
            return ([(CONTENT_TYPE, "text/plain; version=0.0.4")], self.handle.render()).into_response();
        }
        let text =
            "metrics need authentication ([control] metrics): log in with the key pair, or with the token as bearer\n";
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"sampan metrics\"")], text).into_response()
    }

    fn may(&self, from: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let is_here = from.is_some_and(|from| from.to_canonical().is_loopback());
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let has_key = || self.keys.iter().any(|key| bool::from(key.as_bytes().ct_eq(given)));
        match self.access {
            MetricsAccess::Anyone => true,
            MetricsAccess::Loopback => is_here || has_key(),
            MetricsAccess::Key => has_key(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_a_function_is_its_buckets_however_many_and_different_its_samples_are() {
        let recorder = recorder().expect("buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            for number in 0..10_000_u32 {
                metrics::histogram!("seconds", "function" => "f").record(f64::from(number) / 10.0);
                metrics::histogram!("sampan_events_commit_rows").record(f64::from(number));
            }
        });
        handle.run_upkeep();
        let text = handle.render();
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("seconds_bucket{function=\"f\","), lines("sampan_events_commit_rows_bucket{")), (19, 9));
        // Beside the buckets only a sum and a count each, and the type lines.
        assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 19 + 9 + 4 + 2, "{text}");
        assert!(text.contains("seconds_bucket{function=\"f\",le=\"0.1\"} 2\n"), "{text}");
        assert!(text.contains("seconds_count{function=\"f\"} 10000\n"), "{text}");
    }

    #[test]
    fn the_setting_controls_access_to_metrics() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        let open = |access| {
            let handle = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
            let config =
                ControlConfig { metrics: access, metrics_token_file: Some(file.clone()), ..ControlConfig::default() };
            let pair = Credentials { secret_id: "id".into(), secret_key: "key".into(), endpoint: String::new() };
            Metrics::open(handle, &config, &pair)
        };
        std::fs::write(&file, " \n").expect("written");
        assert!(open(MetricsAccess::Key).is_err_and(|error| error.to_string().contains("is empty")));
        std::fs::write(&file, "secret\n").expect("written");
        let (here, mapped, there) = ("127.0.0.1", "::ffff:127.0.0.2", "10.0.0.1");
        for (access, from, key, may) in [
            (MetricsAccess::Anyone, there, "", true),
            (MetricsAccess::Loopback, here, "", true),
            (MetricsAccess::Loopback, mapped, "", true),
            (MetricsAccess::Loopback, there, "", false),
            (MetricsAccess::Loopback, there, "Bearer secret", true),
            (MetricsAccess::Key, here, "", false),
            (MetricsAccess::Key, here, "Bearer other", false),
            (MetricsAccess::Key, there, "Bearer secret", true),
            (MetricsAccess::Key, there, "Basic aWQ6a2V5", true),
            (MetricsAccess::Key, there, "Basic aWQ6a2V6", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, key.parse().expect("a value"))]);
            let from = Some(from.parse().expect("an address"));
            assert_eq!(open(access).expect("readable").may(from, &headers), may, "{access:?} {from:?} {key}");
        }
    }
}
