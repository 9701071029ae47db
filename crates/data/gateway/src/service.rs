//! One request, from its head to a call of the invoker.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use connections::ConnectionState;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use invoke::{Invoker, Protocol, RequestBytesMax, ResolvedCall};
use parking_lot::Mutex;
use tokio::time::Instant;
use types::{RequestId, SharedCatalog, Trigger};

use crate::access::{self, Access};
use crate::asynchronous::authorize::Authorize;
use crate::asynchronous::error::AsyncError;
use crate::asynchronous::hooks::{self, Called};
use crate::asynchronous::{Arrived, AsyncCalls, Asynchronous};
use crate::config::Config;
use crate::error_response::RequestError;
use crate::event::BodyLimit;
use crate::forward::{self, Peer};
use crate::head_limits::HeadLimits;
use crate::last_route::LastRoute;
use crate::limits::{Admitted, Limits, Route};
use crate::lookup::{self, Found};
use crate::meters::Meters;
use crate::path_prefix::PathPrefix;
use crate::reason_phrase;
use crate::request_body::{Payload, RequestBody};
use crate::response_body::ResponseBody;
use crate::route::{self, Address, Domains, NoAddress};
use crate::signed::{self, SentHead};
use crate::trusted_proxies::TrustedProxies;
use crate::{domain, event, host};

/// State shared by all connections.
pub struct Context {
    invoker: Invoker,
    catalog: SharedCatalog,
    domains: Domains,
    stall: Duration,
    event_body_bytes_max: usize,
    heads: HeadLimits,
    limits: Limits,
    /// Verifies signatures; without it all calls that need one are refused.
    authorize: Option<Arc<dyn Authorize>>,
    /// Accepts calls of `/async/`.
    asynchronous: Option<AsyncCalls>,
    /// Whether peers' `X-Forwarded-*` are trusted.
    pub trust_forwarded: bool,
    /// Peers whose `X-Forwarded-*` are trusted otherwise.
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Whether responses are rewritten for clients that reach the function below a path.
    rewrite_prefix: bool,
    /// Longest chain of calls of instances.
    call_depth_max: u32,
    /// The gateway's own metrics.
    pub meters: Meters,
}

impl Context {
    /// Creates the shared state.
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
            authorize: asynchronous.as_ref().map(|parts| Arc::clone(&parts.authorize)),
            asynchronous: asynchronous.map(|parts| AsyncCalls::new(parts, &config.asynchronous)),
            trust_forwarded: config.trust_forwarded,
            trusted_proxies: Arc::new(config.trusted_proxies.clone()),
            rewrite_prefix: config.rewrite_prefix,
            call_depth_max: config.call_depth_max,
            meters: Meters::new(),
        })
    }
}

/// One client's connection, shared by its requests.
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

    /// Answers one request; every failure is a response too.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
        let multiplexed = request.version() == Version::HTTP_2;
        let request_guard = self.connection.begin(multiplexed);
        let meters = &self.context.meters;
        if multiplexed { &meters.requests_http2 } else { &meters.requests_http1 }.increment(1);
        let is_head = request.method() == Method::HEAD;
        let request_id = RequestId::random();
        let (mut response, admitted) = self
            .call(request, &request_id)
            .await
            .unwrap_or_else(|refusal| (self.refuse(refusal, &request_id), Admitted::default()));
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

    /// The response of a function, and the limits that it counts against until the client has
    /// received it.
    async fn call(
        &self,
        request: Request<Incoming>,
        id: &RequestId,
    ) -> Result<(Response<invoke::Body>, Admitted), RequestError> {
        let (mut parts, body) = request.into_parts();
        self.context.heads.check(&parts)?;
        let depth = self.call_depth()?;
        let limits = &self.context.limits;
        // Finding the function may change the path.
        let sent = (!limits.is_empty()).then(|| parts.uri.clone());
        let located = Located { depth, ..self.locate(&mut parts)? };
        let Found { function, qualifier } = &located.found;
        let admitted = match &sent {
            None => Admitted::default(),
            Some(sent) => {
                let host = host::of_request(&parts).map_err(RequestError::Host)?.map(host::name);
                let route = Route { function: &function.record.key, host, path: sent.path() };
                limits.admit(&route, Instant::now()).map_err(RequestError::Busy)?
            }
        };
        if let Some((calls, trigger)) = &located.hook {
            let (function, trigger) = (Arc::clone(function), Arc::clone(trigger));
            let sent = SentHead::of(&parts, None);
            forward::prepare(&mut parts, located.prefix_len, &self.peer).map_err(RequestError::Path)?;
            let body = RequestBody::new(body, self.context.stall);
            let body_bytes_max = admitted.body_bytes_max;
            let event_depth = self.event_depth().await;
            let called = Called { id, function, trigger, sent, parts, body, body_bytes_max, event_depth };
            return Ok((calls.receive(called).await?, admitted));
        }
        let access = access::of(function, qualifier)?;
        let bytes_max = admitted.body_bytes_max;
        let Some(page) = access.page(&parts.headers) else {
            let answer = self.run(id, (parts, body), located, access, bytes_max).await?;
            return Ok((answer, admitted));
        };
        // Browsers send preflights without a signature, and withhold a response without CORS
        // headers from a page.
        if let Some(answer) = page.preflight(&parts.method, &parts.headers) {
            return Ok((answer, admitted));
        }
        let answer = self.run(id, (parts, body), located, access, bytes_max).await;
        let mut answer = answer.unwrap_or_else(|refusal| self.refuse(refusal, id));
        page.decorate(answer.headers_mut());
        Ok((answer, admitted))
    }

    fn refuse(&self, refusal: RequestError, id: &RequestId) -> Response<invoke::Body> {
        self.context.meters.refusals.increment(1);
        tracing::debug!(request_id = id.as_str(), reason = %refusal, "refused");
        refusal.into_response(id)
    }

    /// Calls the function, or queues the call; `bytes_max` is the limit of the route.
    async fn run(
        &self,
        id: &RequestId,
        (mut parts, body): (Parts, Incoming),
        located: Located<'_>,
        access: Access,
        bytes_max: Option<u64>,
    ) -> Result<Response<invoke::Body>, RequestError> {
        let Located { found, prefix_len, asynchronous, sent_uri, hook: _, depth } = located;
        let remote = self.peer.remote_address(&parts.headers);
        access.check_network(remote)?;
        let sent = (access.signed || asynchronous.is_some()).then(|| SentHead::of(&parts, sent_uri));
        forward::prepare(&mut parts, prefix_len, &self.peer).map_err(RequestError::Path)?;
        let prefix = (prefix_len > 0 && self.context.rewrite_prefix).then(|| PathPrefix::of(&parts)).flatten();
        let body = RequestBody::new(body, self.context.stall);
        let payload = match (asynchronous, sent) {
            (Some(calls), Some(sent)) => {
                let (body_bytes_max, open) = (bytes_max, access.is_open());
                let event_depth = self.event_depth().await;
                return calls.accept(Arrived { id, found, sent, parts, body, body_bytes_max, event_depth, open }).await;
            }
            (_, Some(sent)) => {
                let authorize = self.context.authorize.as_deref();
                signed::check(authorize, &sent, &mut parts, body, self.body_limit(bytes_max)).await?
            }
            (_, None) => Payload::Streaming(body),
        };
        let invoker = &self.context.invoker;
        let call = match ResolvedCall::of_request(&found.function, found.qualifier, id, &parts.headers) {
            Ok(call) => call.at_depth(depth).in_event(self.event_depth().await),
            Err(unresolved) => return Ok(unresolved.into_response(id)),
        };
        if call.protocol() == Protocol::Event {
            let answer = event::call(invoker, call, id, (parts, payload), remote, self.body_limit(bytes_max)).await;
            return answer.map(|answer| below(prefix, answer));
        }
        if let Some(bytes_max) = bytes_max {
            parts.extensions.insert(RequestBytesMax(bytes_max));
        }
        let answer = match payload {
            Payload::Streaming(body) => invoker.web(call, id.clone(), Request::from_parts(parts, body)).await,
            Payload::Whole(bytes) => invoker.web(call, id.clone(), Request::from_parts(parts, Full::new(bytes))).await,
        };
        Ok(below(prefix, answer))
    }

    /// The depth of this call in a chain of calls; 0 from outside.
    fn call_depth(&self) -> Result<u32, RequestError> {
        let Some(caller) = self.peer.as_instance() else { return Ok(0) };
        let (depth, max) = (self.context.invoker.chain_depth(caller), self.context.call_depth_max);
        if depth <= max {
            return Ok(depth);
        }
        let refusal = RequestError::TooDeep { depth, max };
        self.context.invoker.report_chain(caller, &format!("a call by the gateway was refused: {refusal}"));
        Err(refusal)
    }

    /// Depth of the event in whose run an instance makes this call.
    async fn event_depth(&self) -> Option<u32> {
        self.context.invoker.event_depth(self.peer.as_instance()?).await
    }

    /// The limit of a buffered body.
    fn body_limit(&self, of_route: Option<u64>) -> BodyLimit {
        let of_all = self.context.event_body_bytes_max;
        match of_route.and_then(|bytes| usize::try_from(bytes).ok()) {
            Some(bytes_max) if bytes_max < of_all => {
                BodyLimit { bytes_max, setting: "body_bytes_max of [[gateway.limits]]" }
            }
            _ => BodyLimit { bytes_max: of_all, setting: "gateway.event_body_bytes_max" },
        }
    }

    /// Finds the function that a head addresses. A custom domain may rewrite the path.
    fn locate(&self, parts: &mut Parts) -> Result<Located<'_>, RequestError> {
        if matches!(parts.method, Method::TRACE | Method::CONNECT) {
            return Err(RequestError::Method(parts.method.clone()));
        }
        let catalog = self.context.catalog.load();
        if let Some(found) = self.last.lock().as_ref().and_then(|last| last.find(&catalog, parts)) {
            let (found, prefix_len) = found;
            return Ok(Located { found, prefix_len, asynchronous: None, hook: None, sent_uri: None, depth: 0 });
        }
        let host = host::of_request(parts).map_err(RequestError::Host)?;
        if let Some(domain) = host.and_then(|host| domain::of_host(&catalog, host)) {
            let (found, path) = domain::find(&catalog, domain, self.peer.is_secure(&parts.headers), parts.uri.path())
                .map_err(RequestError::Domain)?;
            let mut sent_uri = None;
            if let Some(path) = path {
                let uri = domain::with_path(&parts.uri, &path).map_err(RequestError::Path)?;
                sent_uri = Some(std::mem::replace(&mut parts.uri, uri));
            }
            return Ok(Located { found, prefix_len: 0, asynchronous: None, hook: None, sent_uri, depth: 0 });
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let address = route::route(host, target, &self.context.domains)
            .map_err(|none| RequestError::Address(none, self.context.domains.example().map(str::to_owned)))?;
        let unknown = || RequestError::Address(NoAddress::Path, None);
        let calls = || self.context.asynchronous.as_ref().ok_or_else(unknown);
        let asynchronous = route::is_asynchronous(&address, target).then(calls).transpose()?;
        let found = lookup::find(&catalog.functions, &address).map_err(RequestError::Function)?;
        let hook = match route::trigger(&address, target) {
            None => None,
            Some(name) => {
                let named = matches!(address, Address::Path { qualifier: Some(_), .. });
                let trigger = hooks::find(&found.function, named.then_some(&found.qualifier), &name);
                Some((calls()?, trigger.map_err(AsyncError::Hook)?))
            }
        };
        let prefix_len = match address {
            Address::Host { .. } => 0,
            Address::Path { prefix_len, .. } => prefix_len,
        };
        if let Some(host) = host.filter(|_| asynchronous.is_none() && hook.is_none()) {
            *self.last.lock() = Some(LastRoute::new(&catalog, host, target, &(found.clone(), prefix_len)));
        }
        Ok(Located { found, prefix_len, asynchronous, hook, sent_uri: None, depth: 0 })
    }
}

/// The target of a head.
struct Located<'a> {
    found: Found,
    /// Bytes of the path that are the function's address.
    prefix_len: usize,
    /// Set for an asynchronous call.
    asynchronous: Option<&'a AsyncCalls>,
    /// Set for a request to a trigger.
    hook: Option<(&'a AsyncCalls, Arc<Trigger>)>,
    /// The target as it was sent, where a custom domain rewrote it.
    sent_uri: Option<Uri>,
    /// Depth of the request in a chain of calls.
    depth: u32,
}

/// The response for a client that reaches the function below a path.
fn below(prefix: Option<PathPrefix>, mut answer: Response<invoke::Body>) -> Response<invoke::Body> {
    if let Some(prefix) = prefix {
        prefix.rewrite(answer.headers_mut());
    }
    answer
}

/// A response to HEAD: the length that the body would have, and no body.
fn without_body(response: Response<invoke::Body>) -> Response<invoke::Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, invoke::Body::default())
}
