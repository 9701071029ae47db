//! The public handle: the API as a router.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use signature::Secrets;
use types::wire::EXTENSIONS_PATH;

use crate::body::Rooms;
use crate::config::Config;
use crate::context::{Context, HostEnvironment, Installation};
use crate::server::{self, Server};

/// The cloud API; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Server>);

/// The components below the API.
pub struct Parts {
    /// Functions, versions, namespaces.
    pub store: store::Store,
    /// Output and records of runs.
    pub logs: logs::Logs,
    /// Runs functions.
    pub invoker: invoke::Invoker,
    /// Asynchronous events.
    pub events: events::Events,
    /// The kinds of triggers.
    pub sources: sources::Sources,
}

impl Api {
    /// Creates an API over these components.
    pub fn new(
        parts: Parts,
        secrets: Secrets,
        account: Installation,
        host_environment: HostEnvironment,
        config: Config,
    ) -> Self {
        let rooms = Rooms::new(&config);
        let Parts { store, logs, invoker, events, sources } = parts;
        let context = Context { store, logs, invoker, events, sources, account, host_environment, config };
        Self(Arc::new(Server { context, secrets, rooms }))
    }

    /// Routes `/` and [`EXTENSIONS_PATH`], with every method. Other paths are left to other
    /// routers.
    pub fn router(&self) -> Router {
        let router = Router::new().route("/", any(server::serve));
        router.route(EXTENSIONS_PATH, any(server::serve_extension)).with_state(Arc::clone(&self.0))
    }
}
