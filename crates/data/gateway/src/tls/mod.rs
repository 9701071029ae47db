//! TLS towards clients: selection of a certificate, and the handshake. A client that names a custom
//! domain gets the domain's certificate, any other the one that was issued for the name, else the
//! default.

mod certificates;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use types::SharedCatalog;

pub use self::certificates::CertificateError;
use self::certificates::{Certificates, are_outdated, issued_for, read_all};
use crate::config::{CertificateFiles, Config};

/// ALPN names of the versions of HTTP, the preferred one first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS of one gateway.
pub struct Tls {
    acceptor: TlsAcceptor,
    handshake_max: Duration,
    shown: Arc<Shown>,
    files: BTreeMap<String, CertificateFiles>,
    check_every: Duration,
    /// Requests a reload of the files.
    wanted: Notify,
}

/// The certificates to select from.
struct Shown {
    catalog: SharedCatalog,
    certificates: ArcSwap<Certificates>,
    default: Option<String>,
}

impl Tls {
    /// Checks the certificates of the configuration.
    pub fn check(config: &Config) -> Result<(), CertificateError> {
        read(config).map(drop)
    }

    /// Reads the certificates of the configuration.
    pub fn open(config: &Config, catalog: SharedCatalog) -> Result<Arc<Self>, CertificateError> {
        let certificates = read(config)?;
        // A single certificate is the default.
        let only = || certificates.keys().next().filter(|_| certificates.len() == 1).cloned();
        let default = config.default_certificate.clone().or_else(only);
        let shown = Arc::new(Shown { catalog, certificates: ArcSwap::from_pointee(certificates), default });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of its own versions")
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            handshake_max: Duration::from_secs(config.tls_handshake_timeout_s.max(1)),
            shown,
            files: config.certificates.clone(),
            check_every: Duration::from_secs(config.certificates_check_s.max(1)),
            wanted: Notify::new(),
        }))
    }

    /// Performs the handshake; `None` when it fails or times out.
    pub async fn accept(&self, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
        match timeout(self.handshake_max, self.acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake timed out");
                None
            }
        }
    }

    /// Reloads the files, whether they were modified or not.
    pub fn reload(&self) {
        self.wanted.notify_one();
    }

    /// Reloads modified files, until `shutdown`. Open connections keep their certificate.
    pub async fn follow_files(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let requested = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wanted.notified() => true,
                () = tokio::time::sleep(self.check_every) => false,
            };
            let tls = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || tls.look(requested)).await {
                tracing::error!(%error, "the check of certificates for changes failed");
            }
        }
    }

    fn look(&self, requested: bool) {
        if !requested && !are_outdated(&self.shown.certificates.load(), &self.files) {
            return;
        }
        match read_all(&self.files) {
            Ok(certificates) => {
                self.shown.certificates.store(Arc::new(certificates));
                tracing::info!("reloaded certificates");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot load changed certificates; keeping the loaded ones");
            }
        }
    }
}

fn read(config: &Config) -> Result<Certificates, CertificateError> {
    let certificates = read_all(&config.certificates)?;
    match config.default_certificate.as_ref().filter(|name| !certificates.contains_key(*name)) {
        Some(name) => Err(CertificateError::NoDefault { name: name.clone() }),
        None => Ok(certificates),
    }
}

impl Shown {
    fn to(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.load();
        let catalog = self.catalog.load();
        let of_domain = || catalog.domains.get(&host?.to_ascii_lowercase())?.certificate.clone();
        let certificate = of_domain()
            .and_then(|name| certificates.get(&name))
            .or_else(|| issued_for(&certificates, host?))
            .or_else(|| certificates.get(self.default.as_ref()?))?;
        Some(certificate.key.clone())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.to(hello.server_name())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("default", &self.default).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}
