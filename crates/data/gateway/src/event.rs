//! A request to an event function: the whole body becomes an event, the return value a response.

use std::net::IpAddr;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use invoke::{EventCall, Invoker, ResolvedCall, Source};
use types::RequestId;

use crate::client_headers;
use crate::error_response::{self, RequestError};
use crate::integration::{self, Call};
use crate::request_body::{Payload, RequestBody, RequestBodyError};

/// The limit of a body, and its setting.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit {
    /// The limit.
    pub bytes_max: usize,
    /// Its setting.
    pub setting: &'static str,
}

/// Calls the function and creates the response. The head was made by [`crate::forward::prepare`];
/// `remote` is the client.
pub async fn call(
    invoker: &Invoker,
    call: ResolvedCall,
    request_id: &RequestId,
    (parts, body): (Parts, Payload),
    remote: IpAddr,
    limit: BodyLimit,
) -> Result<Response<invoke::Body>, RequestError> {
    let body = match body {
        Payload::Streaming(body) => collect(body, limit).await?,
        Payload::Whole(bytes) => bytes,
    };
    let payload = payload(parts, &body, remote);
    let event =
        EventCall { request_id: request_id.clone(), payload: payload.into(), source: Source::Url, asynchronous: None };
    let result = invoker.event(call, event).await;
    let mut response = if result.status.is_success() {
        integration::response(&result.ret_msg).map_err(RequestError::Format)?
    } else {
        error_response::of_failed_event(result.status, result.public_ret_msg.unwrap_or_default())
    };
    response.headers_mut().insert(error_response::X_SCF_REQUEST_ID, error_response::request_id_value(request_id));
    Ok(response.map(error_response::full))
}

/// Buffers a body.
pub async fn collect(
    body: RequestBody<Incoming>,
    BodyLimit { bytes_max, setting }: BodyLimit,
) -> Result<Bytes, RequestError> {
    let too_long = || RequestError::BodyTooLong { bytes_max, setting };
    // An announced length over the limit is refused before the client sends the body.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => {
            let cause =
                error.downcast::<RequestBodyError>().expect("the limit has no errors but its own and its body's");
            Err(RequestError::Body(*cause))
        }
    }
}

fn payload(mut parts: Parts, body: &[u8], remote: IpAddr) -> Vec<u8> {
    client_headers::end_connection(&mut parts.headers);
    let target = parts.uri.path_and_query();
    integration::event(Call {
        method: &parts.method,
        path: target.map_or("/", |target| target.path()),
        query: target.and_then(|target| target.query()).unwrap_or_default(),
        headers: &parts.headers,
        body,
        remote,
    })
}
