//! Registry of tasks that are down, and of the panic that ends the process.

use std::sync::LazyLock;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Metric: panics of the process.
pub const PANICS: &str = "sampan_panics_total";
/// Metric: restarts of tasks.
pub const RESTARTS: &str = "sampan_task_restarts_total";

/// A task that panicked and waits for its restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Its name.
    pub task: &'static str,
    /// Panics in a row, this one included; a run of a minute resets the count.
    pub panics_in_a_row: u32,
    /// Text of the panic.
    pub message: String,
}

/// A task that owned state and panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// Its name.
    pub task: &'static str,
    /// Text of the panic.
    pub message: String,
}

static DOWN: Mutex<Vec<Down>> = Mutex::new(Vec::new());
static STOPPING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::channel(false).0);
static FATAL: LazyLock<watch::Sender<Option<Fatal>>> = LazyLock::new(|| watch::channel(None).0);

/// The tasks that are down now.
pub fn down() -> Vec<Down> {
    let mut all = DOWN.lock().clone();
    // A task that owned state is not restarted.
    let fatal = FATAL.borrow().clone();
    all.extend(fatal.map(|Fatal { task, message }| Down { task, panics_in_a_row: 1, message }));
    all
}

/// Resolves when a task that owns state has panicked: the process must end, and its next start
/// repairs.
pub async fn fatal() -> Fatal {
    let mut changes = FATAL.subscribe();
    match changes.wait_for(Option::is_some).await.map(|fatal| fatal.clone()) {
        Ok(Some(fatal)) => fatal,
        // The sender is never dropped.
        _ => std::future::pending().await,
    }
}

/// Prevents further restarts.
pub fn stop() {
    STOPPING.send_replace(true);
}

/// Resolves when [`stop`] was called.
pub(crate) async fn stopping() {
    // The sender is never dropped.
    if STOPPING.subscribe().wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending().await
    }
}

/// Registers a task as down until it is dropped.
pub(crate) struct DownGuard(&'static str);

impl Drop for DownGuard {
    fn drop(&mut self) {
        let mut down = DOWN.lock();
        if let Some(place) = down.iter().position(|down| down.task == self.0) {
            down.swap_remove(place);
        }
    }
}

pub(crate) fn went_down(task: &'static str, panics_in_a_row: u32, message: &str) -> DownGuard {
    DOWN.lock().push(Down { task, panics_in_a_row, message: message.to_owned() });
    DownGuard(task)
}

pub(crate) fn restarted(task: &'static str) {
    metrics::counter!(RESTARTS, "task" => task).increment(1);
}

/// Records the first fatal panic; later ones are its consequences.
pub(crate) fn failed(task: &'static str, message: &str) {
    FATAL.send_if_modified(|fatal| {
        let first = fatal.is_none();
        if first {
            *fatal = Some(Fatal { task, message: message.to_owned() });
        }
        first
    });
}
