//! A request to an event function: the whole body becomes an event, the return value an answer.

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use invoke::{EventCall, Invoker, RoutingKey, Source, Target};
use types::RequestId;

use crate::answer::{self, Refusal};
use crate::forward::{self, Peer};
use crate::integration::{self, Call};
use crate::upload::{Upload, UploadError};

/// What a body may have, and where it is set.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit {
    /// The limit.
    pub bytes_max: usize,
    /// Its setting.
    pub setting: &'static str,
}

/// Calls the function and makes the answer. `prefix_len` bytes of the path are its address.
pub async fn call(
    invoker: &Invoker,
    target: Target,
    request_id: &RequestId,
    (parts, body): (Parts, Upload<Incoming>),
    prefix_len: usize,
    peer: &Peer,
    limit: BodyLimit,
) -> Result<Response<invoke::Body>, Refusal> {
    let body = collect(body, limit).await?;
    let payload = payload(&parts, &body, prefix_len, peer)?;
    let call = EventCall { request_id: request_id.clone(), payload: payload.into(), source: Source::Url };
    let result = invoker.routed_event(target, call, RoutingKey::from(&parts.headers)).await;
    let mut response = if result.status.is_success() {
        integration::response(&result.ret_msg).map_err(Refusal::Format)?
    } else {
        answer::of_failed_event(result.status, result.ret_msg)
    };
    response.headers_mut().insert(answer::X_SCF_REQUEST_ID, answer::request_id_value(request_id));
    Ok(response.map(answer::full))
}

async fn collect(body: Upload<Incoming>, BodyLimit { bytes_max, setting }: BodyLimit) -> Result<Bytes, Refusal> {
    let too_long = || Refusal::BodyTooLong { bytes_max, setting };
    // A length that was announced is refused before the client sends it all.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => {
            let cause = error.downcast::<UploadError>().expect("the limit has no errors but its own and its body's");
            Err(Refusal::Body(*cause))
        }
    }
}

fn payload(parts: &Parts, body: &[u8], prefix_len: usize, peer: &Peer) -> Result<Vec<u8>, Refusal> {
    let cut = match parts.uri.path_and_query() {
        Some(target) if prefix_len > 0 => Some(forward::cut_prefix(target, prefix_len).map_err(Refusal::Path)?),
        target => target.cloned(),
    };
    Ok(integration::event(Call {
        method: &parts.method,
        path: cut.as_ref().map_or("/", |target| target.path()),
        query: cut.as_ref().and_then(|target| target.query()).unwrap_or_default(),
        headers: &parts.headers,
        body,
        remote: peer.remote_address(&parts.headers),
    }))
}
