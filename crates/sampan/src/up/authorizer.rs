//! Authorizes asynchronous calls: requests signed with the installation's key pair.

use gateway::{Authorize, Signed};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use signature::{Clock, Secrets, tc3};

/// Verifies TC3 signatures of calls at the gateway.
pub struct Authorizer {
    pub secrets: Secrets,
    pub clock_window_s: u64,
}

impl Authorizer {
    fn clock(&self) -> Clock {
        Clock { now_s: jiff::Timestamp::now().as_second(), window_s: self.clock_window_s }
    }
}

impl Authorize for Authorizer {
    fn check_head(&self, headers: &HeaderMap) -> Result<(), String> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err("the request is not signed: it has no header Authorization".to_owned());
        }
        tc3::check_head(headers, &self.secrets, self.clock()).map_err(|rejection| rejection.to_string())
    }

    fn verify(&self, request: Signed<'_>) -> Result<(), String> {
        let Signed { method, host, path, query, headers, body } = request;
        let received = tc3::Received { method: method.as_str(), host, query, headers, body };
        let verified = tc3::verify_http(&received, path, &self.secrets, self.clock());
        verified.map_err(|rejection| rejection.to_string())
    }
}
