//! HTTP clients for registries: one for remote hosts, one for loopback, and one more of each for
//! every registry with a certificate authority of its own.
//!
//! reqwest is used directly rather than `oci-client`, which hides what this crate decides by: it
//! drops the status and `Retry-After` of a failed request, hides why a token was refused, keeps the
//! first credential of a registry for all its repositories, reads manifests of any size into
//! memory, and cannot keep proxies away from loopback registries.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use crate::Config;
use crate::destination::{Destinations, Origin, RefusedDestination, Resolver};
use crate::endpoint::Endpoint;

/// Maximum number of cached clients; beyond it, which means that authorities have changed often,
/// all are rebuilt.
const CLIENTS_MAX: usize = 64;

/// Builds clients at their first use, since that reads the system's certificates. Clones share
/// them.
#[derive(Clone)]
pub struct Clients(Arc<Shared>);

struct Shared {
    config: Config,
    destinations: Arc<Destinations>,
    made: Mutex<HashMap<Kind, Client>>,
    /// Per host that answered 429, the time until which it gets no requests.
    pauses: Mutex<HashMap<String, Instant>>,
}

/// The key of a client.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    loopback: bool,
    ca_pem: Option<Arc<str>>,
    target: Target,
}

/// The destination of a client's connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// Registries and mirrors of the configuration or an image's name; redirects are returned to
    /// the caller.
    Named,
    /// Token servers, upload locations and destinations of redirects. Connections are pooled by the
    /// registry's own address, which decides which destinations are allowed.
    Redirected { by: Option<Origin> },
}

impl Clients {
    /// Clients within these limits.
    pub fn new(config: Config) -> Self {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let destinations = Destinations::new(config.redirects_allowed.clone(), config.redirects_denied.clone());
        Self(Arc::new(Shared {
            config,
            destinations: Arc::new(destinations),
            made: Mutex::default(),
            pauses: Mutex::default(),
        }))
    }

    pub(crate) fn destinations(&self) -> &Destinations {
        &self.0.destinations
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn redirects_max(&self) -> usize {
        self.0.config.redirects_max
    }

    /// Pauses requests to an endpoint, for all images.
    pub(crate) fn pause(&self, endpoint: &Endpoint, pause: Duration) {
        let mut pauses = self.0.pauses.lock();
        let now = Instant::now();
        pauses.retain(|_, until| *until > now);
        let until = pauses.entry(endpoint.base.clone()).or_insert(now);
        *until = (now + pause).max(*until);
    }

    /// The remaining pause of an endpoint.
    pub(crate) fn pause_left(&self, endpoint: &Endpoint) -> Option<Duration> {
        let until = *self.0.pauses.lock().get(&endpoint.base)?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The client for an endpoint, or for destinations that it names.
    pub(crate) fn client(&self, endpoint: &Endpoint, target: Target) -> reqwest::Result<Client> {
        let kind = Kind { loopback: endpoint.loopback, ca_pem: endpoint.ca_pem.clone(), target };
        let mut made = self.0.made.lock();
        if let Some(client) = made.get(&kind) {
            return Ok(client.clone());
        }
        let client = self.0.build(endpoint, &kind.target)?;
        if made.len() >= CLIENTS_MAX {
            made.clear();
        }
        made.insert(kind, client.clone());
        Ok(client)
    }
}

impl Shared {
    fn build(&self, endpoint: &Endpoint, target: &Target) -> reqwest::Result<Client> {
        let authorities = endpoint.ca_pem.as_ref().map(|pem| Certificate::from_pem_bundle(pem.as_bytes()));
        let authorities = authorities.transpose()?.unwrap_or_default();
        let builder = || {
            let builder = Client::builder()
                .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(Duration::from_secs(self.config.connect_timeout_s))
                .read_timeout(Duration::from_secs(self.config.read_idle_timeout_s))
                .referer(false)
                .tls_certs_merge(authorities.clone());
            // The proxy variables have no exception for loopback, and loopback of the proxy is
            // another host.
            let builder = if endpoint.loopback { builder.no_proxy() } else { builder };
            match target {
                Target::Named => builder.redirect(Policy::none()),
                Target::Redirected { by } => {
                    let resolver = Resolver::new(self.destinations.clone(), by.clone());
                    builder.redirect(self.policy(by.clone())).dns_resolver(Arc::new(resolver))
                }
            }
        };
        match builder().build() {
            // Plain HTTP works without any certificates.
            Err(_) if endpoint.plain => builder().tls_certs_only(authorities.clone()).build(),
            built => built,
        }
    }

    /// Follows redirects, as to a blob store. reqwest drops the authorization when the host
    /// changes.
    fn policy(&self, origin: Option<Origin>) -> Policy {
        let (destinations, redirects_max) = (self.destinations.clone(), self.config.redirects_max);
        Policy::custom(move |attempt| {
            // The first redirect was followed before this client.
            if attempt.previous().len() >= redirects_max {
                return attempt.error("too many redirects");
            }
            if attempt.previous().last().is_some_and(|from| is_downgrade(from, attempt.url())) {
                return attempt.error("a redirect from https to http");
            }
            match destinations.check(origin.as_ref(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            }
        })
    }
}

/// Whether a redirect goes from TLS to plain HTTP or another scheme.
pub(crate) fn is_downgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

/// Cause of a missing response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server does not speak TLS.
    PlainHttp,
    /// The server does not speak plain HTTP.
    NotHttp,
    /// TLS failed.
    Untrusted,
    /// No connection was established.
    Connect,
    /// The connection broke, or a read timed out.
    Broken,
    /// The request itself is invalid, or a redirect was not followed.
    Request,
}

/// Classifies an error.
pub(crate) fn cause(error: &reqwest::Error) -> Cause {
    if let Some(tls) = find::<rustls::Error>(error) {
        return match tls {
            rustls::Error::InvalidMessage(_) => Cause::PlainHttp,
            _ => Cause::Untrusted,
        };
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return Cause::NotHttp;
    }
    if error.is_redirect() || error.is_builder() || find::<RefusedDestination>(error).is_some() {
        Cause::Request
    } else if error.is_connect() {
        Cause::Connect
    } else {
        Cause::Broken
    }
}

/// The error of type `E` in a chain, also inside an `io::Error`, whose `source` skips the error
/// that it wraps.
pub(crate) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The cause of a failed request to a server that answers every connection with `answer`.
    async fn cause_of(scheme: &str, answer: &'static [u8]) -> Cause {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("{scheme}://{}", listener.local_addr().expect("bound"));
        let server = async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                // The client may have closed already; its error is the result.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
            }
        };
        let endpoint = Endpoint { base, plain: true, loopback: true, ca_pem: None };
        let origin = Origin::of("127.0.0.1", [127, 0, 0, 1].into());
        let client = Clients::new(Config::default())
            .client(&endpoint, Target::Redirected { by: Some(origin) })
            .expect("a client");
        tokio::select! {
            result = client.get(&endpoint.base).send() => cause(&result.expect_err("no valid answer")),
            () = server => unreachable!("serves for ever"),
        }
    }

    #[tokio::test]
    async fn errors_of_protocol_and_connection_are_distinguished() {
        let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(cause_of("https", bad_request).await, Cause::PlainHttp);
        // A TLS alert: fatal, handshake failure.
        assert_eq!(cause_of("http", &[21, 3, 3, 0, 2, 2, 40]).await, Cause::NotHttp);
        assert_eq!(cause_of("https", &[21, 3, 3, 0, 2, 2, 40]).await, Cause::Untrusted);
        assert_eq!(cause_of("http", b"").await, Cause::Broken);
        let downgrade = b"HTTP/1.1 302 Found\r\nlocation: ftp://there/\r\ncontent-length: 0\r\n\r\n";
        assert!(matches!(cause_of("http", downgrade).await, Cause::Request | Cause::Broken));
    }
}
