//! TC3-HMAC-SHA256 (contract 1.2): makes and verifies signatures over method, query, headers and
//! body.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use types::wire::API_VERSION;

use crate::authorization::{ALGORITHM, Authorization, TERMINATOR};
use crate::{Clock, Rejection, Secrets, clock, host, key_of, quoted};

/// Header with the hash of the body, or with [`UNSIGNED_PAYLOAD`].
const CONTENT_HASH: &str = "x-tc-content-sha256";
/// Value of [`CONTENT_HASH`] for an unsigned body; hashed in place of the body.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// Header with the time of signing.
const TIMESTAMP: &str = "x-tc-timestamp";
/// Path of the API, whatever that of the request is.
const API_PATH: &str = "/";
/// Content type that [`sign`] sends and signs.
const JSON: &str = "application/json";
/// A product of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Its service in the scope of a signature, such as `scf`.
    pub service: &'static str,
    /// Version of its API, a date.
    pub version: &'static str,
}

/// Cloud functions, the API of this installation.
pub const SCF: Product = Product { service: "scf", version: API_VERSION };
/// Enterprise container registries.
pub const TCR: Product = Product { service: "tcr", version: "2019-09-24" };

/// A request to be signed, sent as `POST /` with a JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Id of the key pair.
    pub secret_id: &'a str,
    /// The secret key.
    pub secret_key: &'a str,
    /// Product of the action.
    pub product: Product,
    /// The `Host` header as it will be sent, with its port.
    pub host: &'a str,
    /// Name of the action.
    pub action: &'a str,
    /// Region of the request.
    pub region: &'a str,
    /// Unix time of the request, in seconds; its date is in the scope.
    pub timestamp_s: i64,
    /// The body, JSON.
    pub body: &'a [u8],
}

/// Signs a request, its action included: returns the headers to send beside `Host`, names in lower
/// case.
pub fn sign(request: &Request<'_>) -> Vec<(&'static str, String)> {
    // Outside the calendar every server refuses the request, so an empty date does no harm.
    let date = clock::utc_date(request.timestamp_s).unwrap_or_default();
    let Product { service, version } = request.product;
    let timestamp = request.timestamp_s.to_string();
    let action = request.action.to_ascii_lowercase();
    let canonical = Canonical {
        method: "POST",
        path: API_PATH,
        query: "",
        headers: &format!("content-type:{JSON}\nhost:{}\nx-tc-action:{action}\n", request.host),
        signed_headers: "content-type;host;x-tc-action",
        body_hash: &hex::encode(Sha256::digest(request.body)),
    };
    let authorization = authorization((request.secret_id, request.secret_key), service, &timestamp, &date, &canonical);
    vec![
        ("content-type", JSON.to_owned()),
        ("x-tc-action", request.action.to_owned()),
        ("x-tc-version", version.to_owned()),
        ("x-tc-region", request.region.to_owned()),
        ("x-tc-timestamp", timestamp),
        ("authorization", authorization),
    ]
}

/// The header that signs a canonical request with a key pair, on a date.
fn authorization(
    (secret_id, secret_key): (&str, &str),
    service: &str,
    timestamp: &str,
    date: &str,
    canonical: &Canonical<'_>,
) -> String {
    let scope = format!("{date}/{service}/{TERMINATOR}");
    let key = signing_key(secret_key, date, service);
    let signature = hex::encode(signature(&key, timestamp, &scope, canonical).finalize().into_bytes());
    let signed = canonical.signed_headers;
    format!("{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, Signature={signature}")
}

/// A request outside the API to be signed: its path and query are signed too.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// Id of the key pair.
    pub secret_id: &'a str,
    /// The secret key.
    pub secret_key: &'a str,
    /// The method.
    pub method: &'a str,
    /// The `Host` header as it will be sent, with its port.
    pub host: &'a str,
    /// The path as it will be sent.
    pub path: &'a str,
    /// The query as it will be sent, without the question mark.
    pub query: &'a str,
    /// The `Content-Type` header; one is sent and signed with every request.
    pub content_type: &'a str,
    /// Unix time of the request, in seconds.
    pub timestamp_s: i64,
    /// The body.
    pub body: &'a [u8],
}

/// Signs a request outside the API, as [`verify_http`] checks it: returns the headers to send
/// beside `Host`, names in lower case.
pub fn sign_http(request: &HttpRequest<'_>) -> Vec<(&'static str, String)> {
    signed_for(SCF.service, request)
}

fn signed_for(service: &str, request: &HttpRequest<'_>) -> Vec<(&'static str, String)> {
    let date = clock::utc_date(request.timestamp_s).unwrap_or_default();
    let timestamp = request.timestamp_s.to_string();
    let canonical = Canonical {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: &format!("content-type:{}\nhost:{}\n", request.content_type, request.host),
        signed_headers: "content-type;host",
        body_hash: &hex::encode(Sha256::digest(request.body)),
    };
    let authorization = authorization((request.secret_id, request.secret_key), service, &timestamp, &date, &canonical);
    vec![
        ("content-type", request.content_type.to_owned()),
        ("x-tc-timestamp", timestamp),
        ("authorization", authorization),
    ]
}

/// A received request.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its host: the `Host` header, or the authority of HTTP/2.
    pub host: &'a str,
    /// Its raw query, without the question mark.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// Checks the headers alone, before the body was read: key id, time and form. The signature covers
/// the body, so only [`verify`] checks it.
///
/// # Errors
/// A [`Rejection`] per fault.
pub fn check_head(headers: &HeaderMap, secrets: &Secrets, clock: Clock) -> Result<(), Rejection> {
    Head::check(headers, secrets, clock).map(drop)
}

/// A parsed signature of a known key within the clock window.
struct Head<'a> {
    authorization: Authorization<'a>,
    timestamp: &'a str,
    secret_key: &'a str,
}

impl<'a> Head<'a> {
    fn check(headers: &'a HeaderMap, secrets: &'a Secrets, clock: Clock) -> Result<Self, Rejection> {
        let authorization = Authorization::parse(text(headers, AUTHORIZATION.as_str())?)?;
        let timestamp = text(headers, TIMESTAMP)?;
        let timestamp_s = clock::parse_timestamp("X-TC-Timestamp", timestamp)?;
        let secret_key = key_of(secrets, authorization.secret_id)?;
        clock.check(timestamp_s)?;
        if clock::utc_date(timestamp_s).as_deref() != Some(authorization.date) {
            return Err(Rejection::Malformed(format!(
                "the date {:?} of Credential is not the UTC date of X-TC-Timestamp {timestamp}",
                quoted(authorization.date)
            )));
        }
        for name in authorization.signed_headers.split(';').filter(|name| *name != HOST.as_str()) {
            text(headers, name)?;
        }
        Ok(Self { authorization, timestamp, secret_key })
    }
}

/// Checks the signature in a request's `Authorization` header.
///
/// # Errors
/// A [`Rejection`] per fault.
pub fn verify(received: &Received<'_>, secrets: &Secrets, clock: Clock) -> Result<(), Rejection> {
    // A POST signs an empty query whatever its URL has; its parameters come from the body.
    let query = if received.method == "GET" { received.query } else { "" };
    verify_target(received, (API_PATH, query), secrets, clock)
}

/// Checks the signature of a request outside the API. It covers the path and the query as they were
/// sent, whatever the method is, so that it is good for no other function, and names the service
/// `scf`.
///
/// # Errors
/// A [`Rejection`] per fault.
pub fn verify_http(received: &Received<'_>, path: &str, secrets: &Secrets, clock: Clock) -> Result<(), Rejection> {
    // The API cannot ask for this: official clients make the service of the host that they call.
    let service = Authorization::parse(text(received.headers, AUTHORIZATION.as_str())?)?.service;
    if service != SCF.service {
        let message = format!(
            "the scope of Credential names the service {:?}; calls of functions are signed for {}",
            quoted(service),
            SCF.service
        );
        return Err(Rejection::Malformed(message));
    }
    verify_target(received, (path, received.query), secrets, clock)
}

fn verify_target(
    received: &Received<'_>,
    (path, query): (&str, &str),
    secrets: &Secrets,
    clock: Clock,
) -> Result<(), Rejection> {
    let Head { authorization, timestamp, secret_key } = Head::check(received.headers, secrets, clock)?;
    let key = signing_key(secret_key, authorization.date, authorization.service);
    let body_hash = hex::encode(body_hash(received));
    for headers in canonical_headers(received, &authorization)? {
        let canonical = Canonical {
            method: received.method,
            path,
            query,
            headers: &headers,
            signed_headers: authorization.signed_headers,
            body_hash: &body_hash,
        };
        let expected = signature(&key, timestamp, &authorization.scope(), &canonical).finalize().into_bytes();
        if bool::from(expected.as_slice().ct_eq(&authorization.signature)) {
            return Ok(());
        }
    }
    Err(Rejection::Mismatch {
        method: received.method.to_owned(),
        host: quoted(received.host),
        secret_id: quoted(authorization.secret_id),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Rejection> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            value.to_str().map_err(|_| Rejection::Malformed(format!("header {name} has bytes outside printable ASCII")))
        }
        (None, _) => Err(Rejection::Malformed(format!("the request lacks the header {name}"))),
        (Some(_), Some(_)) => Err(Rejection::Malformed(format!("the request has the header {name} more than once"))),
    }
}

fn body_hash(received: &Received<'_>) -> [u8; 32] {
    let unsigned = received.headers.get(CONTENT_HASH).is_some_and(|value| value == UNSIGNED_PAYLOAD);
    let hashed = if unsigned { UNSIGNED_PAYLOAD.as_bytes() } else { received.body };
    Sha256::digest(hashed).into()
}

/// The forms in which a client may have signed the headers: each form of the host, with values
/// unchanged (SDKs) and in lower case (the published algorithm, followed by hand-written clients).
fn canonical_headers(received: &Received<'_>, authorization: &Authorization<'_>) -> Result<Vec<String>, Rejection> {
    let mut forms: Vec<String> = Vec::new();
    for host in host::variants(received.host) {
        let mut form = String::new();
        for name in authorization.signed_headers.split(';') {
            let value = if name == HOST.as_str() { host } else { text(received.headers, name)? };
            form.extend([name, ":", value.trim(), "\n"]);
        }
        for form in [form.to_ascii_lowercase(), form] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    Ok(forms)
}

struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a str,
    signed_headers: &'a str,
    body_hash: &'a str,
}

impl Canonical<'_> {
    fn hash(&self) -> String {
        let Self { method, path, query, headers, signed_headers, body_hash } = self;
        hex::encode(Sha256::digest(format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{body_hash}")))
    }
}

fn hmac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

fn signing_key(secret_key: &str, date: &str, service: &str) -> Vec<u8> {
    let first = hmac(format!("TC3{secret_key}").as_bytes(), date).finalize().into_bytes();
    let second = hmac(&first, service).finalize().into_bytes();
    hmac(&second, TERMINATOR).finalize().into_bytes().to_vec()
}

fn signature(key: &[u8], timestamp: &str, scope: &str, canonical: &Canonical<'_>) -> Hmac<Sha256> {
    hmac(key, &format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", canonical.hash()))
}

#[cfg(test)]
#[path = "tc3_tests.rs"]
mod tests;
