//! State stored with an instance between its requests: connections, headers shared by all its
//! requests, and counters.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use pool::Process;
use tokio::time::Instant;
use types::{CatalogVersion, FunctionKey};

use super::h2_connection::H2Connection;
use super::idle_connections::IdleConnections;
use crate::call::Installation;
use crate::call_chain::{CallChains, KnownInstance};
use crate::headers::VersionHeaders;
use crate::metering::{OutFlow, Successes};

/// The state of one instance as an upstream; dropped with the instance.
#[derive(Default)]
pub(crate) struct UpstreamState {
    /// At most one for each concurrent request of the instance; each belongs to a worker.
    idle: Arc<IdleConnections>,
    h2: H2Connection,
    headers: OnceLock<VersionHeaders>,
    out_flow: OnceLock<Arc<OutFlow>>,
    successes: OnceLock<Successes>,
    /// Its address among those of instances that have had a request; `None` without a link.
    known: OnceLock<Option<KnownInstance>>,
    /// When the instance's peak memory was last read, and its value.
    peak: Mutex<Option<(Instant, u64)>>,
}

/// Longest age of an instance's peak memory in the report of a request that shared the instance.
const PEAK_AGE_MAX: Duration = Duration::from_millis(1);

impl UpstreamState {
    /// Its idle HTTP/1.1 connections.
    pub fn idle(&self) -> &Arc<IdleConnections> {
        &self.idle
    }

    /// The HTTP/2 connection that its gRPC calls share.
    pub fn h2(&self) -> &H2Connection {
        &self.h2
    }

    /// Egress of the instance.
    pub fn out_flow(&self, process: &Arc<dyn Process>, function: &FunctionKey) -> &Arc<OutFlow> {
        self.out_flow.get_or_init(|| Arc::new(OutFlow::new(Arc::clone(process), function.clone())))
    }

    /// The peak of the instance's memory, in bytes, for a request that shares it: cached, not read
    /// for each.
    pub fn peak_bytes(&self, process: &Arc<dyn Process>, now: Instant) -> u64 {
        let mut peak = self.peak.lock();
        match *peak {
            Some((read_at, bytes)) if now.saturating_duration_since(read_at) < PEAK_AGE_MAX => bytes,
            _ => peak.insert((now, process.memory_peak_bytes())).1,
        }
    }

    /// Notes once that the instance has a request, for the calls that it makes.
    pub fn know(&self, chains: &Arc<CallChains>, process: &Arc<dyn Process>) {
        self.known.get_or_init(|| process.address().map(|address| chains.know(address)));
    }

    /// The metric series of successful runs of the instance's version.
    pub fn successes(&self, version: &CatalogVersion) -> &Successes {
        self.successes.get_or_init(|| Successes::of(version))
    }

    /// The platform's headers for the instance's version.
    pub fn headers(&self, version: &CatalogVersion, platform: &Installation) -> &VersionHeaders {
        self.headers.get_or_init(|| VersionHeaders::new(version, platform))
    }
}
