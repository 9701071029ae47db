//! The gateway's settings: table `[gateway]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use types::limits;

use crate::asynchronous::config::AsyncConfig;
use crate::limits::{self as route_limits, RouteLimit};
use crate::public_url::PublicUrl;
use crate::trusted_proxies::TrustedProxies;

/// Limits of the gateway, each against one way in which clients can use it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Domains whose hosts name functions: `<function>.<namespace>.<domain>`.
    pub domains: Vec<String>,
    /// What the gateway is called from outside, such as `https://functions.example.com`: answers
    /// about http triggers have their URLs below it. Without it they have the gateway's address.
    pub public_url: Option<PublicUrl>,
    /// Whether clients' `X-Forwarded-*` headers are believed and added to. Only right when every
    /// client is a proxy of yours; otherwise they are replaced.
    pub trust_forwarded: bool,
    /// Addresses of your proxies, such as `["10.0.0.0/8", "127.0.0.1"]`, whose `X-Forwarded-*` are
    /// believed and added to where `trust_forwarded` does not say so of all clients.
    pub trusted_proxies: TrustedProxies,
    /// Certificates for TLS by names of yours, which custom domains refer to: table
    /// `[gateway.certificates.NAME]`.
    pub certificates: BTreeMap<String, CertificateFiles>,
    /// The certificate for clients that name no host, or one that no certificate was issued for; of
    /// one certificate alone it need not be said.
    pub default_certificate: Option<String>,
    /// How often the files of certificates are looked at, in seconds. A SIGHUP has them read at
    /// once.
    pub certificates_check_s: u64,
    /// Longest time of a TLS handshake, in seconds.
    pub tls_handshake_timeout_s: u64,
    /// Connections at once, WebSockets among them. When there are as many, the longest idle one of
    /// the address that has most makes room; where none is idle, the next waits until one is.
    pub connections_max: usize,
    /// Pause after the system refused a connection (no file descriptor left), and between looks for
    /// room, in milliseconds.
    pub accept_retry_ms: u64,
    /// From a request's first byte (or the connection's opening) to the end of its headers, in
    /// seconds. All times of a connection are looked at in intervals, so that it may take half as
    /// long again.
    pub header_read_timeout_s: u64,
    /// Longest that a connection stays open without a request, in seconds.
    pub idle_timeout_s: u64,
    /// Longest that a client may neither send nor take a byte of a body while it is its turn, in
    /// seconds.
    pub stall_timeout_s: u64,
    /// Header lines of a request over HTTP/1; more are answered with 431.
    pub request_headers_max: usize,
    /// Bytes of a request's line and headers, at least 8 KiB; more are answered with 431.
    pub request_head_bytes_max: u32,
    /// Requests at once on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Frames of an HTTP/2 connection that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
    /// RST_STREAM, empty DATA, unknown ones), at once; each message earns one more. A connection
    /// with more is closed.
    pub h2_control_frames_max: u32,
    /// The same in each second, on and on.
    pub h2_control_frames_per_s_max: u32,
    /// Bytes of a request body that becomes the event of an event function; more are answered with
    /// 406.
    pub event_body_bytes_max: usize,
    /// Hosts at which subscriptions of SNS topics are confirmed, such as
    /// `sns.eu-central-1.amazonaws.com`; over plain HTTP only those with `http://` in front. The
    /// certificates of their signatures are fetched there too, over HTTPS alone.
    pub hook_confirm_hosts: Vec<String>,
    /// Whether notifications in messages of SNS are taken that are not signed, or by a certificate
    /// at no host of `hook_confirm_hosts`, as those of emulators are. One that can be checked and is
    /// wrong is refused all the same.
    pub sns_unsigned: bool,
    /// How deep a chain of calls may be in which instances call functions by this gateway; a deeper
    /// call is answered with 508. 0 lets instances call nothing.
    pub call_depth_max: u32,
    /// Whether `Location`, `Refresh` and the paths of cookies get `/fn/<namespace>/<name>` in
    /// front, in answers of functions that were called below it. Never of those called by a host.
    pub rewrite_prefix: bool,
    /// Limits of single routes: tables `[[gateway.limits]]`.
    #[serde(deserialize_with = "route_limits::read")]
    pub limits: Vec<RouteLimit>,
    /// Limits of asynchronous calls: table `[gateway.async]`.
    #[serde(rename = "async")]
    pub asynchronous: AsyncConfig,
    /// Longest that requests under way may take after the gateway began to stop, in seconds. No key
    /// of its own: the platform's `shutdown_grace_s`.
    #[serde(skip)]
    pub drain_s: u64,
}

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM file with the certificate, and those that lead from it to an authority that clients
    /// trust.
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
