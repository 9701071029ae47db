//! Who may read `/metrics`: anyone who reaches the control address, its own machine, or whoever has a key.

use std::net::IpAddr;

use anyhow::Context;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::control::Config;
use crate::credentials::Credentials;
use crate::failure::{Exit, Failure};

/// Whom metrics are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Whoever reaches the control address.
    Anyone,
    /// Whoever calls from this machine, or has a key.
    Loopback,
    /// Whoever has a key: the key pair as user and password, or the token of `metrics_token_file`.
    Key,
}

/// The metrics and who may read them.
pub struct Metrics {
    handle: PrometheusHandle,
    access: Access,
    /// Values of `Authorization` that are right.
    keys: Vec<String>,
}

impl Metrics {
    /// Reads the token, where there is one.
    pub fn open(handle: PrometheusHandle, config: &Config, pair: &Credentials) -> anyhow::Result<Self> {
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

    /// Answers a request from an address.
    pub fn answer(&self, from: Option<IpAddr>, headers: &HeaderMap) -> Response {
        if self.may(from, headers) {
            return ([(CONTENT_TYPE, "text/plain; version=0.0.4")], self.handle.render()).into_response();
        }
        let text = "metrics are closed ([control] metrics): log in with the key pair, or with the token as bearer\n";
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"sampan metrics\"")], text).into_response()
    }

    fn may(&self, from: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let is_here = from.is_some_and(|from| from.to_canonical().is_loopback());
        let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let has_key = || self.keys.iter().any(|key| bool::from(key.as_bytes().ct_eq(given)));
        match self.access {
            Access::Anyone => true,
            Access::Loopback => is_here || has_key(),
            Access::Key => has_key(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_whom_the_setting_says() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("token");
        let open = |access| {
            let handle = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
            let config = Config { metrics: access, metrics_token_file: Some(file.clone()), ..Config::default() };
            let pair = Credentials { secret_id: "id".into(), secret_key: "key".into(), endpoint: String::new() };
            Metrics::open(handle, &config, &pair)
        };
        std::fs::write(&file, " \n").expect("written");
        assert!(open(Access::Key).is_err_and(|error| error.to_string().contains("is empty")));
        std::fs::write(&file, "secret\n").expect("written");
        let (here, mapped, there) = ("127.0.0.1", "::ffff:127.0.0.2", "10.0.0.1");
        for (access, from, key, may) in [
            (Access::Anyone, there, "", true),
            (Access::Loopback, here, "", true),
            (Access::Loopback, mapped, "", true),
            (Access::Loopback, there, "", false),
            (Access::Loopback, there, "Bearer secret", true),
            (Access::Key, here, "", false),
            (Access::Key, here, "Bearer other", false),
            (Access::Key, there, "Bearer secret", true),
            (Access::Key, there, "Basic aWQ6a2V5", true),
            (Access::Key, there, "Basic aWQ6a2V6", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, key.parse().expect("a value"))]);
            let from = Some(from.parse().expect("an address"));
            assert_eq!(open(access).expect("readable").may(from, &headers), may, "{access:?} {from:?} {key}");
        }
    }
}
