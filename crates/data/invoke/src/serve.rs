//! Serves a request of any protocol: begins the invocation, gets a response from an instance, and
//! hands the invocation to the response.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use types::RequestId;

use crate::call::{Asynchronous, Body};
use crate::context::Context;
use crate::error_response::error_response;
use crate::failure::Failure;
use crate::invocation::{Ending, Invocation};
use crate::protocol::Protocol;
use crate::resolve::ResolvedCall;
use crate::web_response::WebResponse;
use crate::websocket::{self, Opened};
use crate::{grpc, headers, http1, metering};

/// The response of an instance.
enum Served {
    Web(WebResponse),
    WebSocket(Opened),
}

/// Responds to a request; failures of the platform are responses too.
pub(crate) async fn serve(
    context: &Arc<Context>,
    call: ResolvedCall,
    id: RequestId,
    mut request: Request<Body>,
) -> Response<Body> {
    let protocol = call.protocol;
    let asynchronous = request.extensions_mut().remove::<Asynchronous>();
    let mut invocation = Invocation::of(context, id.clone(), call, asynchronous.as_ref());
    let served = match protocol {
        Protocol::Http1 => http1::send(&mut invocation, request, asynchronous.as_ref()).await.map(Served::Web),
        Protocol::Grpc => grpc::send(&mut invocation, request).await.map(Served::Web),
        Protocol::WebSocket => websocket::open(&mut invocation, request).await.map(Served::WebSocket),
        Protocol::Event => Err(Failure::event_function(&invocation.version().function.key)),
    };
    match served {
        Ok(served) => {
            metering::answered(invocation.version(), served.status());
            let mut response = served.into_response(invocation);
            response.headers_mut().insert(headers::REQUEST_ID, headers::id(&id));
            response
        }
        Err(failure) => {
            invocation.finish_later(Ending::Failed(failure.clone()));
            error_response(&failure, protocol, &id)
        }
    }
}

impl Served {
    fn status(&self) -> StatusCode {
        match self {
            Self::Web(response) => response.status(),
            Self::WebSocket(opened) => opened.status(),
        }
    }

    /// The caller's response, which owns the invocation until its end.
    fn into_response(self, invocation: Invocation) -> Response<Body> {
        match self {
            Self::Web(response) => response.stream(invocation),
            Self::WebSocket(opened) => opened.carry(invocation),
        }
    }
}
