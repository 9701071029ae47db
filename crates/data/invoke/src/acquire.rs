//! From a resolved call to a leased instance, across updates: a request whose version is replaced
//! while it waits gets the newest one instead of an error.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use pool::{Lease, LeaseError};
use types::RequestId;

use crate::context::Context;
use crate::failure::Failure;
use crate::resolve::ResolvedCall;
use crate::session;
use crate::upstream::UpstreamState;

/// The purpose of an instance.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// A request; where its version has sessions, the session is found in its headers and URI.
    Request(&'a HeaderMap, &'a Uri),
    /// The input of a job image's instance (`types::job`).
    Job(&'a Bytes),
}

impl Context {
    /// Leases an instance of a call's version, or of its successor when it was replaced meanwhile.
    pub async fn acquire(
        &self,
        call: &ResolvedCall,
        request: &RequestId,
        wanted: Wanted<'_>,
    ) -> Result<Lease<UpstreamState>, Failure> {
        let mut version = Arc::clone(&call.version);
        let mut retries_left = self.config.superseded_retries_max;
        loop {
            let leased = match wanted {
                Wanted::Request(head, uri) => {
                    let session = session::key(&version, head, uri)?;
                    self.pool.lease(&version, request, session.as_ref()).await
                }
                Wanted::Job(event) if version.spec.image.is_job() => {
                    self.pool.lease_job(&version, request, event).await
                }
                Wanted::Job(_) => return Err(Failure::no_job_image(&version.function.key)),
            };
            let error = match leased {
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
