//! Supervised background tasks: a task without state is restarted after a panic, a task that owns
//! state ends the process, and health checks list tasks that are down.
//!
//! ```text
//! let sweep = move || registry.clone().run(stop.clone());
//! tokio::spawn(supervisor::restarting("registry sweep", sweep));
//! tokio::spawn(supervisor::essential("log writer", writer.run()));
//! ```
//! The registry of tasks is global to the process, as metrics are. A task that returns has ended
//! normally. [`stop`] prevents restarts during shutdown.
#![forbid(unsafe_code)]
// A failed `unwrap` is a failed test.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod injection;
mod registry;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

use crate::backoff::Backoff;
pub use crate::registry::{Down, Fatal, PANICS, RESTARTS, down, fatal, stop};

/// Runs a task that holds no state, and restarts it with back-off after a panic.
pub async fn restarting<F: Future<Output = ()>>(task: &'static str, mut make: impl FnMut() -> F) {
    let mut backoff = Backoff::default();
    loop {
        let work = AssertUnwindSafe(async {
            injection::panic_if_asked(task);
            make().await;
        });
        let started = tokio::time::Instant::now();
        let Err(panic) = work.catch_unwind().await else { return };
        let pause = backoff.after(started.elapsed());
        let _down = registry::went_down(task, backoff.in_a_row(), &text(panic.as_ref()));
        tracing::error!(task, panics_in_a_row = backoff.in_a_row(), ?pause, "task panicked; restarting");
        tokio::select! {
            biased;
            // After shutdown began a new task would miss its cancellation: it stays down.
            () = registry::stopping() => return,
            () = tokio::time::sleep(pause) => {}
        }
        registry::restarted(task);
    }
}

/// Runs a task that owns state, which a panic may leave half-changed: the panic ends the process
/// through [`fatal`].
pub async fn essential<T>(task: &'static str, work: impl Future<Output = T>) -> Option<T> {
    let work = AssertUnwindSafe(async {
        injection::panic_if_asked(task);
        work.await
    });
    match work.catch_unwind().await {
        Ok(done) => Some(done),
        Err(panic) => {
            registry::failed(task, &text(panic.as_ref()));
            None
        }
    }
}

/// [`essential`] for a thread.
pub fn essential_thread(task: &'static str, work: impl FnOnce()) {
    let work = AssertUnwindSafe(|| {
        injection::panic_if_asked(task);
        work();
    });
    if let Err(panic) = catch_unwind(work) {
        registry::failed(task, &text(panic.as_ref()));
    }
}

/// Installs a panic hook that logs and counts every panic of the process. Standard error alone is
/// not enough: it may be closed.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        metrics::counter!(PANICS).increment(1);
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(at, thread, "panic: {}", text(panic.payload()));
    }));
    metrics::describe_counter!(PANICS, "Panics of the platform process");
    metrics::describe_counter!(RESTARTS, "Restarts of background tasks after a panic, by task");
    metrics::counter!(PANICS).increment(0);
}

/// Text of a panic.
fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_stateless_task_is_down_until_it_is_restarted() {
        const TASK: &str = "test: restarted";
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let task = tokio::spawn(restarting(TASK, move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(run >= 3, "run {run} fails");
                std::future::pending::<()>().await;
            }
        }));
        let mine = || down().into_iter().find(|down| down.task == TASK);
        while runs.load(Ordering::Relaxed) < 2 || mine().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let seen = mine().unwrap();
        assert!(seen.message.contains("fails") && seen.panics_in_a_row >= 1, "{seen:?}");
        while runs.load(Ordering::Relaxed) < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::task::yield_now().await;
        assert_eq!(mine(), None, "it runs again");
        task.abort();
    }

    #[tokio::test]
    async fn a_task_that_returns_is_not_restarted() {
        let mut runs = 0;
        restarting("test: returns", || {
            runs += 1;
            async {}
        })
        .await;
        assert_eq!(runs, 1);
    }

    #[tokio::test]
    async fn a_panic_of_a_task_that_owns_state_is_fatal() {
        assert_eq!(essential("test: well", async { 7 }).await, Some(7));
        assert_eq!(essential("test: fatal", async { panic!("half of it is done") }).await, None::<()>);
        let wanted = Fatal { task: "test: fatal", message: "half of it is done".to_owned() };
        assert_eq!(fatal().await, wanted);
        essential_thread("test: later", || panic!("too"));
        assert_eq!(fatal().await, wanted, "the first one is the cause");
    }
}
