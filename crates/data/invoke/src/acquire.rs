//! From a resolved call to a leased instance, across updates: a request whose version is replaced
//! while it waits gets the newest one instead of an error.

use std::sync::Arc;

use http::{HeaderMap, Uri};
use pool::{Lease, LeaseError};
use types::RequestId;

use crate::context::Context;
use crate::failure::Failure;
use crate::resolve::ResolvedCall;
use crate::session;
use crate::upstream::UpstreamState;

impl Context {
    /// Leases an instance of a call's version, or of what replaced it meanwhile. The session that
    /// the request belongs to, if its version has sessions, is found in its headers and URI.
    pub async fn acquire(
        &self,
        call: &ResolvedCall,
        request: &RequestId,
        (head, uri): (&HeaderMap, &Uri),
    ) -> Result<Lease<UpstreamState>, Failure> {
        let mut version = Arc::clone(&call.version);
        let mut retries_left = self.config.superseded_retries_max;
        loop {
            let session = session::key(&version, head, uri)?;
            let error = match self.pool.lease(&version, request, session.as_ref()).await {
                Ok(lease) => return Ok(lease),
                Err(error) => error,
            };
            if retries_left == 0 {
                return Err(error.into());
            }
            retries_left -= 1;
            let newest = self.resolve_again(call, &version);
            version = match (&error, newest) {
                (LeaseError::Superseded { .. }, newest) => newest?,
                // The image of a version that was replaced may be gone; that of its successor is
                // there.
                (LeaseError::Launch(_) | LeaseError::BackedOff(_), Ok(newest)) if newest.key != version.key => newest,
                _ => return Err(error.into()),
            };
        }
    }
}
