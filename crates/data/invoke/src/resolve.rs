//! Resolves a call to a version: once when it arrives, and again when that version was replaced
//! before the call got an instance.

use std::sync::Arc;

use http::{HeaderMap, Response};
use types::catalog::Lookup;
use types::{CatalogFunction, CatalogVersion, FunctionId, Qualifier, RequestId, RouteBy};

use crate::call::Body;
use crate::context::Context;
use crate::error_response::error_response;
use crate::protocol::Protocol;
use crate::route::{self, RoutingKey};

/// A call whose function, version and protocol are known. Made once for each call, from one
/// snapshot of the catalog.
#[derive(Debug, Clone)]
pub struct ResolvedCall {
    /// The version, with its function.
    pub(crate) version: Arc<CatalogVersion>,
    /// The qualifier that was called.
    pub(crate) qualifier: Qualifier,
    /// Position of the call for weighted aliases; see [`route::draw`].
    pub(crate) route_key: u32,
    /// How it reaches its instance.
    pub(crate) protocol: Protocol,
    /// Its depth in a chain of calls; 0 from outside.
    pub(crate) depth: u32,
    /// Depth of the event in whose run it is made, if any.
    pub(crate) event_depth: Option<u32>,
}

/// A call that resolves to no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Why.
    pub cause: Lookup,
    /// The protocol that its caller speaks.
    pub protocol: Protocol,
}

impl ResolvedCall {
    /// Id of the function that is called.
    pub fn function_id(&self) -> &FunctionId {
        &self.version.function.id
    }

    /// An HTTP request for `qualifier` of a function; rules of aliases see its headers.
    ///
    /// # Errors
    /// When there is no such version or alias, or nothing of the function can be called.
    pub fn of_request(
        function: &CatalogFunction,
        qualifier: Qualifier,
        request: &RequestId,
        head: &HeaderMap,
    ) -> Result<Self, Unresolved> {
        let protocol = Protocol::of(function.record.kind, head);
        Self::resolve(function, qualifier, request, &|name| route::header(head, name), protocol)
            .map_err(|cause| Unresolved { cause, protocol })
    }

    /// A call without HTTP headers; rules of aliases see `key`.
    pub(crate) fn of_event(
        function: &CatalogFunction,
        qualifier: Qualifier,
        request: &RequestId,
        key: &RoutingKey,
    ) -> Result<Self, Lookup> {
        let protocol = Protocol::of(function.record.kind, &HeaderMap::new());
        Self::resolve(function, qualifier, request, &|name| key.get(name), protocol)
    }

    fn resolve(
        function: &CatalogFunction,
        qualifier: Qualifier,
        request: &RequestId,
        header: &dyn Fn(&str) -> Option<String>,
        protocol: Protocol,
    ) -> Result<Self, Lookup> {
        let route_key = route::draw(request);
        let version = function.find(&qualifier, RouteBy { draw: route_key, header })?;
        Ok(Self { version, qualifier, route_key, protocol, depth: 0, event_depth: None })
    }

    /// The same call, made by an instance at this depth of a chain of calls.
    pub fn at_depth(self, depth: u32) -> Self {
        Self { depth, ..self }
    }

    /// The same call, made in the run of an event of that depth.
    pub fn in_event(self, event_depth: Option<u32>) -> Self {
        Self { event_depth, ..self }
    }

    /// The version, with its function.
    pub fn version(&self) -> &CatalogVersion {
        &self.version
    }

    /// Whether the response is only an id, whatever its caller asks for (contract 4.2 and 4.9).
    pub fn is_asynchronous(&self) -> bool {
        self.version.spec.image.is_job() || self.version.function.async_run
    }

    /// How it reaches its instance.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl Unresolved {
    /// The platform's response to the request.
    pub fn into_response(self, request: &RequestId) -> Response<Body> {
        error_response(&self.cause.into(), self.protocol, request)
    }
}

impl Context {
    /// Resolves a call again that was to run `before`: the newest generation of that version,
    /// because a call is not routed twice. A version that was deleted meanwhile has left the route
    /// of every alias, and the call follows the current route of its alias.
    pub fn resolve_again(&self, call: &ResolvedCall, before: &CatalogVersion) -> Result<Arc<CatalogVersion>, Lookup> {
        let catalog = self.catalog.load();
        let function = &before.function.key;
        let same = catalog.find(function, &Qualifier::Version(before.key.version), RouteBy::MAIN);
        // A rule that routed to the version was removed with it, so headers no longer matter.
        let by = RouteBy { draw: call.route_key, ..RouteBy::MAIN };
        same.or_else(|_| catalog.find(function, &call.qualifier, by))
    }
}
