//! A call: action and parameters of a request, after verification of its signature.
//!
//! Parses both forms of a call: headers and a body (TC3), or parameters alone (older signatures).
//! Pure.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, Method};
use signature::{Clock, Rejection, Secrets, tc3, v1};
use types::wire::API_VERSION;
use types::{ApiError, ErrorCode};

use crate::body::Vouched;
use crate::params::{Params, Tree, parse_form};

/// Common parameters of the older signatures; all others are the action's.
const COMMON: [&str; 11] = [
    "Action",
    "Version",
    "Region",
    "Timestamp",
    "Nonce",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Token",
    "Language",
    "RequestClient",
];

/// An authenticated call.
#[derive(Debug)]
pub(crate) struct Call {
    pub action: String,
    /// Host and port of the request, without a scheme.
    pub host: String,
    pub params: Params,
}

impl Call {
    /// Checks the head's part of the signature, before the body is read.
    ///
    /// # Errors
    /// `AuthFailure.…` when no body could make the request valid.
    pub(crate) fn check_head(parts: &Parts, secrets: &Secrets, clock: Clock) -> Result<Vouched, ApiError> {
        if parts.headers.contains_key(AUTHORIZATION) {
            tc3::check_head(&parts.headers, secrets, clock).map_err(refused)?;
            return Ok(Vouched::ByHead);
        }
        match parts.method {
            Method::GET => Ok(Vouched::Unused),
            _ if is_form(parts) => Ok(Vouched::ByItself),
            _ => Err(not_signed()),
        }
    }

    /// Authenticates the request and reads its action and parameters.
    ///
    /// # Errors
    /// `AuthFailure.…` first, so that an unauthenticated client gets no other error; then missing
    /// common parameters.
    pub(crate) fn read(parts: &Parts, body: Bytes, secrets: &Secrets, clock: Clock) -> Result<Self, ApiError> {
        let host = host(parts)?;
        let received = Received { parts, host: &host, body };
        let (action, params) = match parts.headers.contains_key(AUTHORIZATION) {
            true => received.by_headers(secrets, clock),
            false => received.by_parameters(secrets, clock),
        }?;
        let bare = host.split_once("://").map_or(host.as_str(), |(_, host)| host);
        Ok(Self { action, params, host: bare.trim_end_matches('/').to_owned() })
    }
}

struct Received<'a> {
    parts: &'a Parts,
    host: &'a str,
    body: Bytes,
}

impl Received<'_> {
    fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    fn by_headers(self, secrets: &Secrets, clock: Clock) -> Result<(String, Params), ApiError> {
        let headers = &self.parts.headers;
        let received = tc3::Received {
            method: self.parts.method.as_str(),
            host: self.host,
            query: self.query(),
            headers,
            body: &self.body,
        };
        tc3::verify(&received, secrets, clock).map_err(refused)?;
        refuse_token(header(headers, "x-tc-token")?)?;
        check_version("X-TC-Version", header(headers, "x-tc-version")?)?;
        let action = required("X-TC-Action", header(headers, "x-tc-action")?)?;
        let params = if self.parts.method == Method::GET {
            flat(parse_form(self.query().as_bytes())?)?
        } else {
            match media_type(headers) {
                "application/json" => Params::Json(self.body),
                "application/x-www-form-urlencoded" => flat(parse_form(&self.body)?)?,
                other => return Err(not_a_body_type(other)),
            }
        };
        Ok((action, params))
    }

    fn by_parameters(self, secrets: &Secrets, clock: Clock) -> Result<(String, Params), ApiError> {
        let pairs = match self.parts.method {
            Method::GET => parse_form(self.query().as_bytes())?,
            _ if is_form(self.parts) => parse_form(&self.body)?,
            _ => Vec::new(),
        };
        if !pairs.iter().any(|(name, _)| name == "Signature") {
            return Err(not_signed());
        }
        let received = v1::Received { method: self.parts.method.as_str(), host: self.host, parameters: &pairs };
        v1::verify(&received, secrets, clock).map_err(refused)?;
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        refuse_token(value("Token"))?;
        check_version("Version", value("Version"))?;
        let action = required("Action", value("Action"))?;
        let own = pairs.into_iter().filter(|(name, _)| !COMMON.contains(&name.as_str())).collect();
        Ok((action, flat(own)?))
    }
}

fn flat(pairs: Vec<(String, String)>) -> Result<Params, ApiError> {
    Ok(Params::Flat(Tree::of_pairs(&pairs)?))
}

/// The request's host: the unchanged `Host` header, which may contain a scheme, or the authority of
/// HTTP/2.
fn host(parts: &Parts) -> Result<String, ApiError> {
    match parts.headers.get(HOST) {
        Some(host) => host.to_str().map(str::to_owned).map_err(|_| unreadable("Host")),
        None => Ok(parts.uri.authority().map(ToString::to_string).unwrap_or_default()),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    headers.get(name).map(|value| value.to_str().map_err(|_| unreadable(name))).transpose()
}

fn unreadable(name: &str) -> ApiError {
    ApiError::new(ErrorCode::INVALID_PARAMETER, format!("header {name} has bytes outside printable ASCII"))
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn is_form(parts: &Parts) -> bool {
    media_type(&parts.headers) == "application/x-www-form-urlencoded"
}

fn not_signed() -> ApiError {
    let message = "the request is not signed: it has neither a header Authorization nor a parameter Signature";
    refused(Rejection::Malformed(message.to_owned()))
}

fn refused(rejection: Rejection) -> ApiError {
    ApiError::new(rejection.code(), rejection.to_string())
}

fn refuse_token(token: Option<&str>) -> Result<(), ApiError> {
    if token.is_none_or(str::is_empty) {
        return Ok(());
    }
    let message = "the request carries a token of temporary credentials, which this installation does not issue; \
                   sign with the key pair alone";
    Err(ApiError::new(ErrorCode::AUTH_TOKEN_FAILURE, message))
}

fn required(name: &str, value: Option<&str>) -> Result<String, ApiError> {
    value
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| ApiError::new(ErrorCode::MISSING_PARAMETER, format!("the request does not say {name}")))
}

fn check_version(name: &str, value: Option<&str>) -> Result<(), ApiError> {
    let version = required(name, value)?;
    if version == API_VERSION {
        return Ok(());
    }
    let version: String = version.chars().take(40).collect();
    let message = format!("{name} {version:?} does not exist; the only version is {API_VERSION}");
    Err(ApiError::new(ErrorCode::NO_SUCH_VERSION, message))
}

fn not_a_body_type(media_type: &str) -> ApiError {
    let media_type: String = media_type.chars().take(80).collect();
    let message = format!("a body of type {media_type:?} is not read; send application/json");
    ApiError::new(ErrorCode::INVALID_REQUEST, message)
}
