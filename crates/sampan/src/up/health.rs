//! Liveness and readiness endpoints.
//!
//! `/livez` fails when a restart would help: a background task panics repeatedly or is down
//! permanently. `/readyz` fails when new work would fail: a task is down, the database or the event
//! queue rejects writes, the disk is full, or the platform is stopping. `/healthz` always answers
//! 200, with the problems of both and the addresses for clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use types::listening::callable_by;

/// Free bytes below which the disk of the data directory counts as full.
const DISK_BYTES_MIN: u64 = 16 << 20;
/// Consecutive panics after which restarting the task is considered useless.
const PANICS_IN_A_ROW_MAX: u32 = 5;
/// Results for disk and database are cached this long, which bounds the cost of frequent requests.
const FOUND_FOR: Duration = Duration::from_secs(2);
/// Timeout of the database check.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// A failed check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Problem {
    /// `task`, `store`, `events`, `disk` or `stopping`.
    check: &'static str,
    /// The problem, and the remedy if there is one.
    message: String,
}

/// Parts of the platform that are checked.
pub struct Health {
    store: store::Store,
    events: events::Events,
    data_dir: PathBuf,
    /// Further fields of `/healthz`.
    about: Value,
    /// The gateway's address.
    gateway: SocketAddr,
    stopping: CancellationToken,
    found: Mutex<Option<(Instant, Vec<Problem>)>>,
}

impl Health {
    /// Checks of a store, queue and data directory; `about` is a JSON object.
    pub fn new(
        store: store::Store,
        events: events::Events,
        data_dir: PathBuf,
        about: Value,
        gateway: SocketAddr,
        stopping: CancellationToken,
    ) -> Self {
        Self { store, events, data_dir, about, gateway, stopping, found: Mutex::default() }
    }

    /// Routes of the health endpoints.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(Arc::new(self))
    }

    async fn not_ready(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = supervisor::down().iter().map(task_down).collect();
        if self.stopping.is_cancelled() {
            problems.push(Problem { check: "stopping", message: "the platform is stopping".to_owned() });
            return problems;
        }
        problems.extend(self.events.halted().map(|why| Problem {
            check: "events",
            message: format!("the queue of events accepts no more events until a restart: {why}"),
        }));
        problems.extend(self.disk_and_store().await);
        problems
    }

    async fn disk_and_store(&self) -> Vec<Problem> {
        // Concurrent requests wait for one check and share its result.
        let mut found = self.found.lock().await;
        if let Some((_, problems)) = found.as_ref().filter(|(at, _)| at.elapsed() < FOUND_FOR) {
            return problems.clone();
        }
        let problems: Vec<Problem> = [self.disk(), self.store().await].into_iter().flatten().collect();
        *found = Some((Instant::now(), problems.clone()));
        problems
    }

    fn disk(&self) -> Option<Problem> {
        let dir = self.data_dir.display();
        let message = match rustix::fs::statvfs(&self.data_dir) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                if free >= DISK_BYTES_MIN {
                    return None;
                }
                format!("the disk of {dir} is full ({free} bytes are free); free space: calls continue, deploys fail")
            }
            Err(error) => format!("cannot read the free space of the disk of {dir}: {error}"),
        };
        Some(Problem { check: "disk", message })
    }

    async fn store(&self) -> Option<Problem> {
        let message = match tokio::time::timeout(PROBE_MAX, self.store.probe()).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => {
                let causes = anyhow::Error::from(error);
                format!("the database refuses writes: {causes:#}")
            }
            Err(_) => format!("a write to the database timed out after {} s", PROBE_MAX.as_secs()),
        };
        Some(Problem { check: "store", message })
    }
}

fn task_down(down: &supervisor::Down) -> Problem {
    let supervisor::Down { task, panics_in_a_row, message } = down;
    Problem { check: "task", message: format!("the task {task:?} is down after panic {panics_in_a_row}: {message}") }
}

fn not_alive() -> Vec<Problem> {
    let hopeless = supervisor::down().into_iter().filter(|down| down.panics_in_a_row >= PANICS_IN_A_ROW_MAX);
    hopeless.map(|down| task_down(&down)).collect()
}

fn answer(problems: &[Problem]) -> (StatusCode, Json<Value>) {
    let (status, word) =
        if problems.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (status, Json(json!({"status": word, "problems": problems})))
}

async fn livez() -> (StatusCode, Json<Value>) {
    answer(&not_alive())
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<Value>) {
    answer(&health.not_ready().await)
}

async fn healthz(State(health): State<Arc<Health>>, headers: HeaderMap) -> Json<Value> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let (live, problems) = (not_alive().is_empty(), health.not_ready().await);
    let mut said = health.about.clone();
    said["gateway"] = format!("http://{}", callable_by(health.gateway, host)).into();
    said["status"] = if problems.is_empty() { "ok" } else { "degraded" }.into();
    said["live"] = live.into();
    said["ready"] = problems.is_empty().into();
    said["problems"] = json!(problems);
    Json(said)
}
