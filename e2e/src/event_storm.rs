//! Kills the platform while it accepts and runs asynchronous calls. At the end every acknowledged
//! event must be finished, and no event may have more claims than one plus the number of kills
//! during which it was claimed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{ApiClient, AsyncClient, Platform, wait};

/// Settings: few concurrent runs, so that quotas have no effect, and a recovery limit that the
/// storm's own kills do not reach.
const ENV: [(&str, &str); 2] =
    [("SAMPAN_EVENTS__FUNCTION_RUNS_MAX", "4"), ("SAMPAN_EVENTS__RECOVERIES_MAX", "1000000")];
/// The functions called.
const FUNCTIONS: [&str; 2] = ["event", "web"];
/// Clients per kind of call.
const CLIENTS: usize = 4;
/// Longest time under load after the first acknowledgement, in milliseconds.
const LOAD_MS: f64 = 600.0;
/// Number of final states also checked through the API.
const ASKED_FOR: usize = 20;

/// Acknowledged and unanswered calls.
#[derive(Default)]
struct Acknowledged(Mutex<State>);

#[derive(Default)]
struct State {
    ids: BTreeSet<String>,
    /// Idempotency keys of calls without a response, with their functions.
    unanswered: BTreeMap<String, &'static str>,
    next: u64,
}

/// Results of a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Number of kills; fewer than requested when the time ran out.
    pub kills: u32,
    /// Number of acknowledged events.
    pub acknowledged: usize,
    /// Number of events that were claimed again after a kill.
    pub again: usize,
}

/// Runs a storm on a new platform; no kill begins after `time_max`.
///
/// # Errors
/// When an acknowledged event is not finished, or was claimed more often than the kills explain.
pub async fn run(kills: u32, time_max: Duration, mut after_kill: impl FnMut(u32, usize)) -> anyhow::Result<Found> {
    let (started, mut killed) = (Instant::now(), 0);
    let mut platform = Platform::start_with(&ENV).await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--timeout", "30"]).await?;
    platform.deploy("web", "hello:v1", &["--timeout", "30"]).await?;
    let (known, mut claims) = (Arc::new(Acknowledged::default()), HashMap::new());
    while killed < kills && started.elapsed() < time_max {
        let before = known.0.lock().ids.len();
        let mut loads = start(&platform, &known);
        wait::until("something is acknowledged", || async { Ok((known.0.lock().ids.len() > before).then_some(())) })
            .await?;
        // Multiples of the golden ratio cover the range evenly, and alike in each storm.
        let fraction = (f64::from(killed) * 0.618_033_988_749_895).fract();
        tokio::time::sleep(Duration::from_micros((fraction * LOAD_MS * 1000.0) as u64)).await;
        platform.kill().await?;
        while loads.join_next().await.is_some() {}
        for id in claimed(&platform.data_dir())? {
            *claims.entry(id).or_insert(0_i64) += 1;
        }
        killed += 1;
        platform = platform.restart().await.with_context(|| format!("after kill {killed}"))?;
        after_kill(killed, known.0.lock().ids.len());
    }
    all_ended(&platform).await?;
    let ids = std::mem::take(&mut known.0.lock().ids);
    let again = check(&platform.data_dir(), &ids, &claims)?;
    for id in ids.iter().rev().take(ASKED_FOR) {
        let found = platform.api.call("GetAsyncEventStatus", json!({"InvokeRequestId": id})).await?;
        ensure!(found["Result"]["Status"] == "FINISHED", "{found}");
    }
    platform.stop().await?;
    Ok(Found { kills: killed, acknowledged: ids.len(), again })
}

/// Starts clients that send calls until the platform is gone.
fn start(platform: &Platform, known: &Arc<Acknowledged>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in FUNCTIONS {
        for _ in 0..CLIENTS {
            tasks.spawn(calls(AsyncClient::of(platform), function, Arc::clone(known)));
        }
    }
    for _ in 0..CLIENTS {
        tasks.spawn(invokes(platform.api.clone(), Arc::clone(known)));
    }
    tasks
}

/// Sends calls with idempotency keys; a call without a response is repeated after the restart.
async fn calls(client: AsyncClient, function: &'static str, known: Arc<Acknowledged>) {
    loop {
        let key = {
            let mut state = known.0.lock();
            let left = state.unanswered.iter().find(|(_, of)| **of == function).map(|(key, _)| key.clone());
            let key = left.unwrap_or_else(|| {
                state.next += 1;
                format!("{function}-{}", state.next)
            });
            // Removed, so that no other client repeats it concurrently.
            state.unanswered.remove(&key);
            key
        };
        let sent = client.send(Method::POST, function, &[("Idempotency-Key", &key)], b"{}".to_vec()).await;
        let id = sent
            .ok()
            .filter(|answer| answer.status() == 202)
            .and_then(|answer| answer.headers().get("x-call-id").and_then(|id| id.to_str().ok()).map(str::to_owned));
        let mut state = known.0.lock();
        let Some(id) = id else {
            state.unanswered.insert(key, function);
            return;
        };
        state.ids.insert(id);
    }
}

async fn invokes(api: ApiClient, known: Arc<Acknowledged>) {
    let body = json!({"FunctionName": "event", "InvocationType": "Event"});
    while let Ok(answer) = api.response("Invoke", &body).await {
        let Some(id) = answer["Result"]["FunctionRequestId"].as_str() else { return };
        known.0.lock().ids.insert(id.to_owned());
    }
}

async fn all_ended(platform: &Platform) -> anyhow::Result<()> {
    for function in FUNCTIONS {
        let mut left = u64::MAX;
        while left > 0 {
            left = wait::until(&format!("fewer than {left} events of {function} wait or run"), || async {
                let body = json!({"FunctionName": function, "Status": ["RUNNING"], "Limit": 1});
                let now = platform.api.call("ListAsyncEvents", body).await?["TotalCount"].as_u64();
                Ok(now.filter(|now| *now < left))
            })
            .await?;
        }
    }
    Ok(())
}

/// Compares the final states with the acknowledged events, and counts events that were claimed
/// again.
fn check(data: &Path, ids: &BTreeSet<String>, claims: &HashMap<String, i64>) -> anyhow::Result<usize> {
    let (_folder, connection) = copy(data)?;
    let mut statement = connection.prepare("SELECT request_id, state, status, attempts FROM runs")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    let states: HashMap<String, (i64, i64, i64)> = rows.collect::<Result<_, _>>()?;
    let lost: Vec<_> = ids.iter().filter(|id| !states.contains_key(*id)).collect();
    ensure!(lost.is_empty(), "{} of {} acknowledged events are lost: {lost:?}", lost.len(), ids.len());
    let mut again = 0;
    for (id, (state, status, attempts)) in &states {
        ensure!((*state, *status) == (1, 200), "{id} ended in state {state} with status {status}");
        let attempts_max = 1 + claims.get(id).copied().unwrap_or_default();
        ensure!((1..=attempts_max).contains(attempts), "{id} was claimed {attempts} times, of {attempts_max}");
        again += usize::from(*attempts > 1);
    }
    Ok(again)
}

/// Events in the claimed state after a kill.
fn claimed(data: &Path) -> anyhow::Result<Vec<String>> {
    let (_folder, connection) = copy(data)?;
    let mut statement = connection.prepare("SELECT request_id FROM events WHERE state = 1")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Copies the queue's database to a separate folder, so that reading it does not change the
/// platform's files.
fn copy(data: &Path) -> anyhow::Result<(TempDir, Connection)> {
    let folder = tempfile::tempdir()?;
    for name in ["events.db", "events.db-wal"] {
        match std::fs::copy(data.join(name), folder.path().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let connection = Connection::open(folder.path().join("events.db"))?;
    Ok((folder, connection))
}
