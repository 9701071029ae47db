//! Signed calls of a platform's API over one connection.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::Value;
use signature::tc3;

use super::http::Connection;
use crate::quickstart::Up;

/// A connection to the API, with the platform's key pair.
pub struct Api {
    connection: Connection,
    /// `host:port` of the control address, which is also the registry's.
    pub host: String,
    secret_id: String,
    secret_key: String,
}

impl Api {
    /// Connects to a platform.
    pub fn open(up: &Up) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&up.credentials).context("the platform wrote its credentials")?;
        let file: toml::Table = text.parse().context("the file of credentials is TOML")?;
        let field = |name: &str| file.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let host = up.control.trim_start_matches("http://").to_owned();
        let connection = connect(&host)?;
        Ok(Self { connection, host, secret_id: field("secret_id"), secret_key: field("secret_key") })
    }

    /// Reconnects, because the platform closes idle connections.
    pub fn reconnect(&mut self) -> anyhow::Result<()> {
        self.connection = connect(&self.host)?;
        Ok(())
    }

    /// Calls an action that must succeed; returns its duration and its response.
    pub fn call(&mut self, action: &str, body: &Value) -> anyhow::Result<(Duration, Value)> {
        let body_text = body.to_string();
        let timestamp_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let signed = tc3::sign(&tc3::Request {
            secret_id: &self.secret_id,
            secret_key: &self.secret_key,
            product: tc3::SCF,
            host: &self.host,
            action,
            region: "local",
            timestamp_s,
            body: body_text.as_bytes(),
        });
        let mut request = format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.host, body_text.len());
        signed.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!("\r\n{body_text}"));
        let (time, answer) = self.connection.send(request.into_bytes())?;
        let mut answer: Value = serde_json::from_slice(answer).context("the API answers JSON")?;
        let response = answer["Response"].take();
        ensure!(response["Error"].is_null(), "{action} {body} was refused: {}", response["Error"]);
        Ok((time, response))
    }

    /// The platform's metrics, in the text format of Prometheus.
    pub fn metrics(&mut self) -> anyhow::Result<String> {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        let (_, text) = self.connection.send(request.into_bytes())?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn connect(host: &str) -> anyhow::Result<Connection> {
    let address: SocketAddr = host.parse().context("the control address")?;
    Connection::open(address, host, "/")
}
