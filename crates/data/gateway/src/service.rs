//! One request, from its head to a call of the invoker.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use connections::ConnectionState;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use invoke::{Invoker, Protocol, RequestBytesMax, ResolvedCall};
use parking_lot::Mutex;
use tokio::time::Instant;
use types::{RequestId, SharedCatalog};

use crate::asynchronous::{Arrived, AsyncCalls, Asynchronous, SentHead};
use crate::config::Config;
use crate::error_response::RequestError;
use crate::event::BodyLimit;
use crate::forward::{self, Peer};
use crate::head_limits::HeadLimits;
use crate::last_route::LastRoute;
use crate::limits::{Admitted, Limits, Route};
use crate::lookup::{self, Found};
use crate::meters::Meters;
use crate::reason_phrase;
use crate::request_body::RequestBody;
use crate::response_body::ResponseBody;
use crate::route::{self, Address, Domains, NoAddress};
use crate::{domain, event, host};

/// What all connections share.
pub struct Context {
    invoker: Invoker,
    catalog: SharedCatalog,
    domains: Domains,
    stall: Duration,
    event_body_bytes_max: usize,
    heads: HeadLimits,
    limits: Limits,
    /// Takes calls of `/async/`.
    asynchronous: Option<AsyncCalls>,
    /// Whether peers' `X-Forwarded-*` are believed.
    pub trust_forwarded: bool,
    /// The gateway's own metrics.
    pub meters: Meters,
}

impl Context {
    /// Prepares what every request needs.
    pub fn new(
        invoker: Invoker,
        catalog: SharedCatalog,
        asynchronous: Option<Asynchronous>,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            invoker,
            catalog,
            domains: Domains::new(&config.domains),
            stall: Duration::from_secs(config.stall_timeout_s.max(1)),
            event_body_bytes_max: config.event_body_bytes_max,
            heads: HeadLimits::new(config),
            limits: Limits::new(&config.limits, Instant::now()),
            asynchronous: asynchronous.map(|parts| AsyncCalls::new(parts, &config.asynchronous)),
            trust_forwarded: config.trust_forwarded,
            meters: Meters::new(),
        })
    }
}

/// One client's connection, as its requests see it.
pub struct Client {
    context: Arc<Context>,
    peer: Peer,
    connection: Arc<ConnectionState>,
    last: Mutex<Option<LastRoute>>,
}

impl Client {
    /// A client at `peer` whose connection has the state `connection`.
    pub fn new(context: Arc<Context>, peer: Peer, connection: Arc<ConnectionState>) -> Self {
        Self { context, peer, connection, last: Mutex::default() }
    }

    /// Answers one request; every failure is an answer too.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
        let multiplexed = request.version() == Version::HTTP_2;
        let request_guard = self.connection.begin(multiplexed);
        let meters = &self.context.meters;
        if multiplexed { &meters.requests_http2 } else { &meters.requests_http1 }.increment(1);
        let is_head = request.method() == Method::HEAD;
        let request_id = RequestId::random();
        let (mut response, admitted) = self.call(request, &request_id).await.unwrap_or_else(|refusal| {
            meters.refusals.increment(1);
            tracing::debug!(request_id = request_id.as_str(), reason = %refusal, "refused");
            (refusal.into_response(&request_id), Admitted::default())
        });
        if !multiplexed {
            reason_phrase::add(&mut response);
        }
        if is_head && !response.body().is_end_stream() {
            response = without_body(response);
        }
        Ok(response.map(|body| {
            match multiplexed {
                true => ResponseBody::pumped(body, request_guard, self.context.stall),
                false => ResponseBody::direct(body, request_guard),
            }
            .of(admitted)
        }))
    }

    /// The answer of a function, and what counts against limits until the client has it.
    async fn call(
        &self,
        request: Request<Incoming>,
        id: &RequestId,
    ) -> Result<(Response<invoke::Body>, Admitted), RequestError> {
        let (mut parts, body) = request.into_parts();
        self.context.heads.check(&parts)?;
        let limits = &self.context.limits;
        // Finding the function may change the path.
        let sent = (!limits.is_empty()).then(|| parts.uri.clone());
        let Located { found: Found { function, qualifier }, prefix_len, asynchronous } = self.locate(&mut parts)?;
        let admitted = match &sent {
            None => Admitted::default(),
            Some(sent) => {
                let host = host::of_request(&parts).map_err(RequestError::Host)?.map(host::name);
                let route = Route { function: &function.record.key, host, path: sent.path() };
                limits.admit(&route, Instant::now()).map_err(RequestError::Busy)?
            }
        };
        if let Some(calls) = asynchronous {
            let sent = SentHead::of(&parts);
            forward::prepare(&mut parts, prefix_len, &self.peer).map_err(RequestError::Path)?;
            let body = RequestBody::new(body, self.context.stall);
            let (found, body_bytes_max) = (Found { function, qualifier }, admitted.body_bytes_max);
            let arrived = Arrived { id, found, sent, parts, body, body_bytes_max };
            return Ok((calls.accept(arrived).await?, admitted));
        }
        let remote = self.peer.remote_address(&parts.headers);
        forward::prepare(&mut parts, prefix_len, &self.peer).map_err(RequestError::Path)?;
        let body = RequestBody::new(body, self.context.stall);
        let invoker = &self.context.invoker;
        let call = match ResolvedCall::of_request(&function, qualifier, id, &parts.headers) {
            Ok(call) => call,
            Err(unresolved) => return Ok((unresolved.into_response(id), admitted)),
        };
        match call.protocol() {
            Protocol::Http1 | Protocol::Grpc | Protocol::WebSocket => {
                if let Some(bytes_max) = admitted.body_bytes_max {
                    parts.extensions.insert(RequestBytesMax(bytes_max));
                }
                Ok((invoker.web(call, id.clone(), Request::from_parts(parts, body)).await, admitted))
            }
            Protocol::Event => {
                let own = admitted.body_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
                let of_all = self.context.event_body_bytes_max;
                let limit = match own {
                    Some(bytes_max) if bytes_max < of_all => {
                        BodyLimit { bytes_max, setting: "body_bytes_max of [[gateway.limits]]" }
                    }
                    _ => BodyLimit { bytes_max: of_all, setting: "gateway.event_body_bytes_max" },
                };
                let answer = event::call(invoker, call, id, (parts, body), remote, limit).await?;
                Ok((answer, admitted))
            }
        }
    }

    /// Finds the function that a head addresses. The path becomes the one that a custom domain makes
    /// of it.
    fn locate(&self, parts: &mut Parts) -> Result<Located<'_>, RequestError> {
        if matches!(parts.method, Method::TRACE | Method::CONNECT) {
            return Err(RequestError::Method(parts.method.clone()));
        }
        let host = host::of_request(parts).map_err(RequestError::Host)?;
        let catalog = self.context.catalog.load();
        if let Some(domain) = host.and_then(|host| domain::of_host(&catalog, host)) {
            let (found, path) = domain::find(&catalog, domain, self.peer.is_secure(), parts.uri.path())
                .map_err(RequestError::Domain)?;
            if let Some(path) = path {
                parts.uri = domain::with_path(&parts.uri, &path).map_err(RequestError::Path)?;
            }
            return Ok(Located { found, prefix_len: 0, asynchronous: None });
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        if let Some(found) = self.last.lock().as_ref().and_then(|last| last.find(&catalog, host, target)) {
            let (found, prefix_len) = found;
            return Ok(Located { found, prefix_len, asynchronous: None });
        }
        let address = route::route(host, target, &self.context.domains)
            .map_err(|none| RequestError::Address(none, self.context.domains.example().map(str::to_owned)))?;
        let asynchronous = match route::is_asynchronous(&address, target) {
            false => None,
            true => {
                let unknown = || RequestError::Address(NoAddress::Path, None);
                Some(self.context.asynchronous.as_ref().ok_or_else(unknown)?)
            }
        };
        let found = lookup::find(&catalog.functions, &address).map_err(RequestError::Function)?;
        let prefix_len = match address {
            Address::Host { .. } => 0,
            Address::Path { prefix_len, .. } => prefix_len,
        };
        if asynchronous.is_none() {
            *self.last.lock() = Some(LastRoute::new(&catalog, host, target, &(found.clone(), prefix_len)));
        }
        Ok(Located { found, prefix_len, asynchronous })
    }
}

/// What a head addresses.
struct Located<'a> {
    found: Found,
    /// Bytes of the path that are the function's address.
    prefix_len: usize,
    /// Takes the call, where it is an asynchronous one.
    asynchronous: Option<&'a AsyncCalls>,
}

/// An answer to HEAD: the length that the body would have, and no body.
fn without_body(response: Response<invoke::Body>) -> Response<invoke::Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, invoke::Body::default())
}
