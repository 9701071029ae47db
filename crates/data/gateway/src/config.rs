//! The gateway's settings: table `[gateway]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use types::limits;

use crate::asynchronous::config::AsyncConfig;
use crate::limits::{self as route_limits, RouteLimit};
use crate::public_url::PublicUrl;
use crate::trusted_proxies::TrustedProxies;

/// Limits of the gateway; each prevents one kind of resource exhaustion by clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Domains whose hosts address functions: `<function>.<namespace>.<domain>`.
    pub domains: Vec<String>,
    /// The external URL of the gateway, such as `https://functions.example.com`: responses about
    /// http triggers have URLs below it. Without it they have the gateway's address.
    pub public_url: Option<PublicUrl>,
    /// Whether clients' `X-Forwarded-*` headers are trusted and extended. Only right when every
    /// client is a proxy of yours; otherwise they are replaced.
    pub trust_forwarded: bool,
    /// Addresses of your proxies, such as `["10.0.0.0/8", "127.0.0.1"]`, whose `X-Forwarded-*` are
    /// trusted and extended when `trust_forwarded` is off.
    pub trusted_proxies: TrustedProxies,
    /// Certificates for TLS by name, to which custom domains refer: table
    /// `[gateway.certificates.NAME]`.
    pub certificates: BTreeMap<String, CertificateFiles>,
    /// The certificate for clients that name no host, or one without a certificate; optional when
    /// there is only one certificate.
    pub default_certificate: Option<String>,
    /// Interval at which the files of certificates are checked for changes, in seconds. A SIGHUP
    /// reloads them at once.
    pub certificates_check_s: u64,
    /// Longest time of a TLS handshake, in seconds.
    pub tls_handshake_timeout_s: u64,
    /// Concurrent connections, including WebSockets. At the limit, the longest idle connection of
    /// the address with the most is closed; where none is idle, the next connection waits until one
    /// is.
    pub connections_max: usize,
    /// Pause after the system refused a connection (no file descriptor left), and between checks
    /// for room, in milliseconds.
    pub accept_retry_ms: u64,
    /// From a request's first byte (or the connection's opening) to the end of its headers, in
    /// seconds. All timeouts of a connection are checked at intervals, so it may take half as long
    /// again.
    pub header_read_timeout_s: u64,
    /// Longest time that a connection stays open without a request, in seconds.
    pub idle_timeout_s: u64,
    /// Longest time that a client may neither send nor receive a byte of a body that waits for it,
    /// in seconds.
    pub stall_timeout_s: u64,
    /// Header lines of a request over HTTP/1; more are answered with 431.
    pub request_headers_max: usize,
    /// Bytes of a request's line and headers, at least 8 KiB; more are answered with 431.
    pub request_head_bytes_max: u32,
    /// Concurrent requests on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Burst of frames without content on an HTTP/2 connection (PING, SETTINGS, PRIORITY,
    /// WINDOW_UPDATE, RST_STREAM, empty DATA, unknown ones); each message allows one more. A
    /// connection that exceeds it is closed.
    pub h2_control_frames_max: u32,
    /// The sustained rate of such frames, per second.
    pub h2_control_frames_per_s_max: u32,
    /// Bytes of a request body that becomes the event of an event function; more are answered with
    /// 406.
    pub event_body_bytes_max: usize,
    /// Hosts at which subscriptions of SNS topics are confirmed, such as
    /// `sns.eu-central-1.amazonaws.com`; over plain HTTP only those with an `http://` prefix. The
    /// certificates of their signatures are fetched from there too, over HTTPS only.
    pub hook_confirm_hosts: Vec<String>,
    /// Whether notifications in messages of SNS are accepted that are not signed, or whose
    /// certificate is at no host of `hook_confirm_hosts`, as with emulators. A signature that can
    /// be checked and is invalid is always refused.
    pub sns_unsigned: bool,
    /// Longest chain of calls in which instances call functions through this gateway; a deeper call
    /// is answered with 508. 0 refuses all calls by instances.
    pub call_depth_max: u32,
    /// Whether `/fn/<namespace>/<name>` is prepended to `Location`, `Refresh` and the paths of
    /// cookies in responses of functions that were called below it. Never for functions called by
    /// host.
    pub rewrite_prefix: bool,
    /// Limits of single routes: tables `[[gateway.limits]]`.
    #[serde(deserialize_with = "route_limits::read")]
    pub limits: Vec<RouteLimit>,
    /// Limits of asynchronous calls: table `[gateway.async]`.
    #[serde(rename = "async")]
    pub asynchronous: AsyncConfig,
    /// Longest time for requests in flight after the gateway began to stop, in seconds. Not a key
    /// of its own: the platform's `shutdown_grace_s`.
    #[serde(skip)]
    pub drain_s: u64,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM file with the certificate and its chain to an authority that clients trust.
    pub chain_file: PathBuf,
    /// PEM file with its private key.
    pub key_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domains: vec!["fn.localhost".to_owned()],
            public_url: None,
            trust_forwarded: false,
            trusted_proxies: TrustedProxies::default(),
            certificates: BTreeMap::new(),
            default_certificate: None,
            certificates_check_s: 10,
            tls_handshake_timeout_s: 10,
            connections_max: 10_000,
            accept_retry_ms: 50,
            header_read_timeout_s: 10,
            idle_timeout_s: 75,
            stall_timeout_s: 60,
            request_headers_max: 100,
            request_head_bytes_max: 64 * 1024,
            h2_streams_max: 256,
            h2_control_frames_max: 2_000,
            h2_control_frames_per_s_max: 500,
            event_body_bytes_max: limits::SYNC_EVENT_BYTES_MAX,
            hook_confirm_hosts: Vec::new(),
            sns_unsigned: false,
            call_depth_max: 16,
            rewrite_prefix: true,
            limits: Vec::new(),
            asynchronous: AsyncConfig::default(),
            drain_s: 30,
        }
    }
}
