//! Checks signatures of calls; implemented where the keys are.

use http::{HeaderMap, Method};

/// A signed request as it came: nothing of it was changed by the gateway.
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

/// Decides who may call; a refusal is a text for the client.
pub trait Authorize: Send + Sync + 'static {
    /// Looks at the headers alone, before the body is there.
    ///
    /// # Errors
    /// When nothing that could follow would be taken.
    fn check_head(&self, headers: &HeaderMap) -> Result<(), String>;

    /// Looks at the whole request.
    ///
    /// # Errors
    /// When it is not signed by a known key.
    fn verify(&self, request: Signed<'_>) -> Result<(), String>;
}
