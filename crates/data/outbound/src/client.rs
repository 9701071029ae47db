//! The client: checks a URL, and sends one request.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use registry_client::AddressRange;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};

use crate::config::{Config, Connection};
use crate::error::{Error, Refused};
use crate::hosts::Hosts;
use crate::resolver::{self, Guarded, Lookup, System};

/// Longest URL of a caller.
const URL_BYTES_MAX: usize = 2048;
/// Longest file of a bearer token.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Sends requests; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    hosts: Hosts,
    allowed: Arc<[AddressRange]>,
    connections: BTreeMap<String, Endpoint>,
    response_bytes_max: usize,
}

/// A checked connection of the settings.
struct Endpoint {
    url: Url,
    headers: HeaderMap,
    settings: Connection,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: Bytes,
}

impl Client {
    /// Checks the settings.
    ///
    /// # Errors
    /// The invalid setting.
    pub fn new(config: &Config, connections: &BTreeMap<String, Connection>) -> Result<Self, Error> {
        Self::with_lookup(config, connections, Arc::new(System))
    }

    /// Checks the settings, with another name resolver.
    ///
    /// # Errors
    /// The invalid setting.
    pub fn with_lookup(
        config: &Config,
        connections: &BTreeMap<String, Connection>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, Error> {
        config.check()?;
        let allowed: Arc<[AddressRange]> = config.addresses_allowed.clone().into();
        let http = http(config, &lookup, &allowed).map_err(Error::Client)?;
        let mut ready = BTreeMap::new();
        for (name, settings) in connections {
            ready.insert(name.clone(), endpoint(name, settings, &allowed)?);
        }
        let hosts = Hosts::new(&config.hosts_allowed)?;
        let response_bytes_max = config.response_bytes_max;
        Ok(Self(Arc::new(Inner { http, hosts, allowed, connections: ready, response_bytes_max })))
    }

    /// Checks whether requests may be sent to a caller's URL, without resolving its host.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        let url = parse(text, &self.0.allowed)?;
        let host = url.host_str().unwrap_or_default();
        if !self.0.hosts.contains(host) {
            return Err(Refused::Host(host.to_owned()));
        }
        Ok(url)
    }

    /// Checks that the settings have a connection.
    ///
    /// # Errors
    /// There is no such connection.
    pub fn check_connection(&self, name: &str) -> Result<(), Refused> {
        if self.0.connections.contains_key(name) { Ok(()) } else { Err(Refused::Connection(name.to_owned())) }
    }

    /// Posts to a caller's URL. All checks are repeated, because the settings and the name may have
    /// changed.
    ///
    /// # Errors
    /// The URL is refused, or there is no response.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
        let url = self.check(url)?;
        self.send(url, headers, body).await
    }

    /// Posts to a connection of the settings, with its headers.
    ///
    /// # Errors
    /// There is no such connection, its token cannot be read, or there is no response.
    pub async fn post_to(&self, connection: &str, mut headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
        let endpoint = self.0.connections.get(connection);
        let endpoint = endpoint.ok_or_else(|| Refused::Connection(connection.to_owned()))?;
        headers.extend(endpoint.headers.clone());
        if let Some(token) = token(connection, &endpoint.settings).await? {
            headers.insert(AUTHORIZATION, token);
        }
        self.send(endpoint.url.clone(), headers, body).await
    }

    async fn send(&self, url: Url, headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let unanswered = |error: reqwest::Error| match refused(&error) {
            Some(refused) => Error::Refused(refused),
            None => Error::Unanswered { host: host.clone(), why: causes(&error) },
        };
        let mut response = self.0.http.post(url).headers(headers).body(body).send().await.map_err(unanswered)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), Timestamp::now()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            let room = self.0.response_bytes_max - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() >= self.0.response_bytes_max {
                break;
            }
        }
        Ok(Response { status, retry_after, body: body.into() })
    }
}

fn http(
    config: &Config,
    lookup: &Arc<dyn Lookup>,
    allowed: &Arc<[AddressRange]>,
) -> Result<reqwest::Client, reqwest::Error> {
    // Fails only when a provider was installed before, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || -> ClientBuilder {
        reqwest::Client::builder()
            .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(config.connect_timeout_s))
            .timeout(Duration::from_secs(config.timeout_s))
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            // Each attempt resolves and tests anew.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Guarded { lookup: Arc::clone(lookup), allowed: Arc::clone(allowed) }))
    };
    // A machine without certificates can still send over plain HTTP.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// Parses a URL with the checks that all URLs need. A literal address is tested here, because it is
/// not resolved.
fn parse(text: &str, allowed: &[AddressRange]) -> Result<Url, Refused> {
    if text.len() > URL_BYTES_MAX {
        return Err(Refused::TooLong { max: URL_BYTES_MAX });
    }
    let url: Url = text.parse().map_err(|_| Refused::Url(text.to_owned()))?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty() && matches!(url.scheme(), "http" | "https")) else {
        return Err(Refused::Url(text.to_owned()));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    if url.port() == Some(0) {
        return Err(Refused::Url(text.to_owned()));
    }
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        resolver::check(host, address, allowed)?;
    }
    Ok(url)
}

fn endpoint(name: &str, settings: &Connection, allowed: &[AddressRange]) -> Result<Endpoint, Error> {
    let wrong = |field: &str, why: String| Error::Setting { key: format!("connections.{name}.{field}"), why };
    let url = parse(&settings.url, allowed).map_err(|refused| wrong("url", refused.to_string()))?;
    if settings.bearer_file.is_some() && settings.bearer_env.is_some() {
        return Err(wrong("bearer_env", "give bearer_file or bearer_env, not both".to_owned()));
    }
    let mut headers = HeaderMap::new();
    for (header, value) in &settings.headers {
        let bad = || wrong("headers", format!("{header:?} is no header, or its value has characters of none"));
        let header = HeaderName::try_from(header.as_str()).map_err(|_| bad())?;
        headers.insert(header.clone(), HeaderValue::try_from(value.as_str()).map_err(|_| bad())?);
    }
    Ok(Endpoint { url, headers, settings: settings.clone() })
}

/// The current bearer token: a file's content may be replaced while the platform runs.
async fn token(name: &str, settings: &Connection) -> Result<Option<HeaderValue>, Error> {
    let (read, place) = match (&settings.bearer_file, &settings.bearer_env) {
        (Some(file), _) => (tokio::fs::read_to_string(file).await.ok(), file.display().to_string()),
        (None, Some(variable)) => (std::env::var(variable).ok(), format!("${variable}")),
        (None, None) => return Ok(None),
    };
    let token = read.map(|text| text.trim().to_owned()).filter(|text| (1..=TOKEN_BYTES_MAX).contains(&text.len()));
    let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let mut value = value.ok_or_else(|| Error::Token(name.to_owned(), place))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The resolver's refusal within the client's error.
fn refused(error: &reqwest::Error) -> Option<Refused> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        source = error.source();
    }
    None
}

/// The last cause: the others repeat the URL, which may have secrets in its query.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long (outbound.timeout_s)".to_owned();
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// RFC 9110, 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::try_from(text).unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(read("30"), Some(Duration::from_secs(30)));
        assert_eq!(read("Thu, 01 Jan 2026 00:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!((read("soon"), read("Wed, 31 Dec 2025 23:59:00 GMT")), (None, None));
    }
}
