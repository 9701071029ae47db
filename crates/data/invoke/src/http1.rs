//! A web request over HTTP/1.1, forwarded to an instance unchanged.

use http::Request;

use crate::call::{Asynchronous, Body};
use crate::chain::CHAIN_DEPTH;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::limit::Limit;
use crate::upstream;
use crate::web_request::{WebRequest, request_limit};
use crate::web_response::WebResponse;

/// Sends a request to an instance, and waits for the response head.
pub(crate) async fn send(
    invocation: &mut Invocation,
    request: Request<Body>,
    asynchronous: Option<&Asynchronous>,
) -> Result<WebResponse, Failure> {
    let config = &invocation.context.config;
    let of_all = Limit::new("invoke.web_request_bytes_max", config.web_request_bytes_max);
    let limit = request_limit(request.extensions(), of_all);
    let mut outgoing = WebRequest::new(request, limit)?;
    outgoing.chunk_unknown_length();
    let WebRequest { mut request, body } = outgoing;
    if let Some(asynchronous) = asynchronous {
        request.headers_mut().insert(CHAIN_DEPTH, asynchronous.chain_depth.into());
    }
    match invocation.dispatch(request, upstream::send).await {
        Ok((connection, response)) => {
            WebResponse::checked(Some(connection), response, body, &invocation.context.config)
        }
        Err(failure) => Err(body.and_then(|body| body.failure()).unwrap_or(failure)),
    }
}
