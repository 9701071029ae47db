//! Verification of call signatures; implemented by the crate that has the keys.

use http::{HeaderMap, Method};

/// A signed request, unchanged by the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its host, with its port.
    pub host: &'a str,
    /// Its path.
    pub path: &'a str,
    /// Its query.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
}

/// Authorizes calls; a refusal is a text for the client.
pub trait Authorize: Send + Sync + 'static {
    /// Checks the headers alone, before the body arrives.
    ///
    /// # Errors
    /// When the request would be refused with any body.
    fn check_head(&self, headers: &HeaderMap) -> Result<(), String>;

    /// Verifies the whole request.
    ///
    /// # Errors
    /// When it is not signed by a known key.
    fn verify(&self, request: Signed<'_>) -> Result<(), String>;
}
