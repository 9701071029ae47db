//! Starts the event sources without callers: timers and polling of object stores.

use std::sync::Arc;

use super::Installation;
use super::storage::Storage;
use super::work::Work;
use crate::settings::Connection;

/// Trigger kinds, and the tasks of timers and polling.
pub struct Triggers {
    pub sources: sources::Sources,
    pub timers: sources::Timers,
    pub polling: sources::Polling,
}

impl Triggers {
    /// Starts the tasks.
    pub fn start(of: &Installation, storage: &Storage, work: &Work) -> Self {
        let stores = Connection::stores(&of.settings.connections);
        let names = stores.keys().cloned().collect();
        let sources = sources::Sources::with_connections(of.settings.triggers.clone(), names, of.names.clone());
        let (of_timers, clock) = (sources.clone(), sources::Clock::system());
        let stop = &of.signals.listening;
        let timers = sources::Timers::start(of_timers, storage.store.clone(), work.events.clone(), clock, stop.clone());
        let parts = sources::PollingParts {
            sources: sources.clone(),
            catalog: storage.store.catalog(),
            events: work.events.clone(),
            connections: Arc::new(stores),
            installation: of.names.clone(),
        };
        Self { sources, timers, polling: sources::Polling::start(parts, stop.clone()) }
    }
}
