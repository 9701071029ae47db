//! A queue in a temporary folder, and runs with scripted outcomes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::{
    Address, Attempt, BoxFuture, Config, Destinations, Events, InvokeType, NewEvent, Outcome, Repeat, Run, WebAnswer,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::Notify;
use types::{EventInvokeConfig, FunctionId, FunctionKey, Qualifier, RequestId, RunStatus, TriggerId};

/// Longest wait for a condition.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The script of runs: the status of each function's runs, or that they hang.
#[derive(Default)]
pub(crate) struct Script {
    outcomes: Mutex<HashMap<String, Option<RunStatus>>>,
    pub(crate) seen: Mutex<Vec<Attempt>>,
    /// The destinations of each function's events.
    pub(crate) destinations: Mutex<HashMap<String, Destinations>>,
    /// Cuts off one run that hangs.
    pub(crate) cut: Arc<Notify>,
    /// Where set, cancelled runs end when this is notified: their instances linger.
    pub(crate) lingers: Mutex<Option<Arc<Notify>>>,
    /// The delay that failed runs request.
    pub(crate) retry_after: Mutex<Option<Duration>>,
    /// The status of cancelled runs.
    pub(crate) canceled: Mutex<Option<RunStatus>>,
    /// How many events of each trigger may run at once.
    pub(crate) concurrency: Mutex<HashMap<TriggerId, usize>>,
    /// Responses of web functions.
    pub(crate) web: Mutex<HashMap<String, WebAnswer>>,
    /// Whether functions are temporary.
    pub(crate) temporary: Mutex<bool>,
    /// Whether events are repeated.
    pub(crate) repeat: Mutex<Repeat>,
}

impl Script {
    /// Sets the outcome of all runs of a function; `None`: they hang.
    pub(crate) fn set(&self, function: &str, outcome: Option<RunStatus>) {
        self.outcomes.lock().insert(function.to_owned(), outcome);
    }

    pub(crate) fn seen_of(&self, function: &str) -> usize {
        self.seen.lock().iter().filter(|attempt| attempt.address.function.name.as_str() == function).count()
    }
}

impl Run for Script {
    fn repeat(&self, _address: &Address) -> Repeat {
        *self.repeat.lock()
    }

    fn destinations(&self, of: &Address, _event: &RequestId) -> Destinations {
        self.destinations.lock().get(of.function.name.as_str()).cloned().unwrap_or_default()
    }

    fn takes_requests(&self, of: &FunctionKey) -> bool {
        of.name.as_str() == "web"
    }

    fn function(&self, of: &FunctionKey) -> Option<(FunctionId, EventInvokeConfig)> {
        (of.name.as_str() != "missing").then(|| ("lam-00000001".parse().unwrap(), EventInvokeConfig::default()))
    }

    fn trigger_concurrency(&self, _of: &FunctionKey, trigger: &TriggerId) -> Option<usize> {
        self.concurrency.lock().get(trigger).copied()
    }

    fn is_temporary(&self, _of: &Address) -> bool {
        *self.temporary.lock()
    }

    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let function = attempt.address.function.name.as_str().to_owned();
        let scripted = self.outcomes.lock().get(&function).copied().unwrap_or(Some(RunStatus::Success));
        let payload = String::from_utf8_lossy(&attempt.payload).into_owned();
        let cancellation = attempt.cancellation.clone();
        let attempt_keeps = attempt.answer_bytes_max > 0;
        self.seen.lock().push(attempt);
        let (cut, lingers) = (Arc::clone(&self.cut), self.lingers.lock().clone());
        let retry_after = *self.retry_after.lock();
        let web = self.web.lock().get(&function).cloned().filter(|_| attempt_keeps);
        let canceled = self.canceled.lock().unwrap_or(RunStatus::RequestCanceled);
        Box::pin(async move {
            let Some(status) = scripted else {
                tokio::select! {
                    () = cut.notified() => {}
                    () = cancellation.requested() => {
                        if let Some(gone) = lingers {
                            gone.notified().await;
                        }
                    }
                }
                let (status, error_message) = (canceled, Some("cut off".to_owned()));
                return Outcome {
                    status,
                    ret_msg: String::new(),
                    error_message,
                    exit: None,
                    retry_after: None,
                    web: None,
                };
            };
            let error_message = (!status.is_success()).then(|| "it failed".to_owned());
            Outcome { status, ret_msg: format!("got {payload}"), error_message, exit: None, retry_after, web }
        })
    }
}

pub(crate) struct Queue {
    pub(crate) events: Events,
    pub(crate) script: Arc<Script>,
    pub(crate) folder: TempDir,
    config: Config,
}

impl Queue {
    pub(crate) async fn open() -> Self {
        Self::open_with(Config::default()).await
    }

    pub(crate) async fn open_with(config: Config) -> Self {
        let (folder, script) = (TempDir::new().unwrap(), Arc::new(Script::default()));
        let events = Events::open(folder.path().join("events.db"), script.clone(), config.clone()).await.unwrap();
        Self { events, script, folder, config }
    }

    /// The queue's file, opened beside its owner.
    pub(crate) fn file(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("events.db")).unwrap()
    }

    /// A number in the row of an event that waits or runs.
    pub(crate) fn row(&self, id: &RequestId, column: &str) -> Option<i64> {
        let text = format!("SELECT {column} FROM events WHERE request_id = ?1");
        self.file().query_row(&text, [id.as_str()], |row| row.get(0)).unwrap()
    }

    /// A queue that may send to this machine.
    pub(crate) async fn open_sending(outbound: outbound::Client, config: Config) -> Self {
        Self::reopened_sending(Arc::default(), TempDir::new().unwrap(), outbound, config).await
    }

    pub(crate) async fn reopened_sending(
        script: Arc<Script>,
        folder: TempDir,
        outbound: outbound::Client,
        config: Config,
    ) -> Self {
        let path = folder.path().join("events.db");
        let events = Events::open_with(path, script.clone(), outbound, config.clone()).await.unwrap();
        Self { events, script, folder, config }
    }

    /// The next process on the same file, as after a kill: this one is not drained.
    pub(crate) async fn killed_and_opened(self) -> Self {
        self.killed_and_opened_with(|_| {}).await
    }

    /// The same with a script that is prepared before the start.
    pub(crate) async fn killed_and_opened_with(self, prepare: impl FnOnce(&Script)) -> Self {
        let Self { events, folder, config, .. } = self;
        drop(events);
        let script = Arc::new(Script::default());
        prepare(&script);
        Self::reopened(script, folder, config).await
    }

    pub(crate) async fn reopened(script: Arc<Script>, folder: TempDir, config: Config) -> Self {
        let events = Events::open(folder.path().join("events.db"), script.clone(), config.clone()).await.unwrap();
        Self { events, script, folder, config }
    }

    pub(crate) async fn accept(&self, function: &str, payload: &str) -> RequestId {
        let event = event(function, payload);
        let id = event.request_id.clone();
        self.events.accept(event).await.unwrap();
        id
    }

    /// Waits until a status of the event matches.
    pub(crate) async fn until(
        &self,
        id: &RequestId,
        wanted: impl Fn(&events::EventStatus) -> bool,
    ) -> events::EventStatus {
        let found = tokio::time::timeout(WAIT_MAX, async {
            loop {
                match self.events.status(id).await.unwrap() {
                    Some(status) if wanted(&status) => return status,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        found.await.expect("the state comes about")
    }

    pub(crate) async fn until_true(&self, mut condition: impl FnMut() -> bool) {
        let reached = tokio::time::timeout(WAIT_MAX, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        reached.await.expect("the condition comes about");
    }
}

pub(crate) fn key(function: &str) -> FunctionKey {
    FunctionKey { namespace: "default".parse().unwrap(), name: function.parse().unwrap() }
}

pub(crate) fn event(function: &str, payload: &str) -> NewEvent {
    let function_id = "lam-00000001".parse().unwrap();
    NewEvent {
        request_id: RequestId::random(),
        address: Address { function: key(function), function_id, qualifier: Qualifier::LATEST },
        invoke_type: InvokeType::Invoke,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        retries_max: 2,
        ttl_s: 21_600,
        delay_s: 0,
    }
}
