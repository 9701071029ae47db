//! Claims events whose function has room, runs them, and stores the outcome.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::RunStatus;

use crate::backlog::{Backlog, Deal, Deliveries, Reserved, Room};
use crate::config::Config;
use crate::delivery::{CHAIN_DEPTH_MAX, Destinations, LastRun};
use crate::error::Error;
use crate::event::RunState;
use crate::growth::Growth;
use crate::policy::rate_limit::RateLimit;
use crate::policy::retry::{self, Class, History, Next, Reason};
use crate::repeat::Repeat;
use crate::run::{Attempt, Outcome, Run};
use crate::running::Running;
use crate::sending;
use crate::sqlite::claim::{self, Taken, Wanted};
use crate::sqlite::claimed::Claimed;
use crate::sqlite::dead;
use crate::sqlite::finish::{self, End};
use crate::sqlite::set_aside;
use crate::sqlite::terminate;
use crate::web_answer::WebAnswer;
use crate::writer::Writer;

/// Longest sleep: the clock may be set meanwhile.
const SLEEP_MS_MAX: i64 = 10_000;
/// Bytes of payloads that one claim reads into memory.
const CLAIM_BYTES_MAX: u64 = 32 << 20;
/// Pause after a failed claim.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// Pause between attempts to store the end of a run.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Why a dead letter of a temporary function cannot run again.
const TEMPORARY: &str = "this cannot be redriven: its function is deleted when none of its events runs any more \
     (sampan job run; give --keep for runs that may have to be repeated)";

/// State shared by the dispatcher and the runs.
pub(crate) struct Queue {
    pub(crate) writer: Writer,
    pub(crate) backlog: Backlog,
    pub(crate) config: Config,
    /// The id of this process in claims.
    pub(crate) owner: String,
    pub(crate) run: Arc<dyn Run>,
    /// Runs that can be cancelled.
    pub(crate) running: Running,
    pub(crate) runs: TaskTracker,
    /// Cancelled when no more events are claimed, and runs may be cut off.
    pub(crate) stop: CancellationToken,
    /// The rate limit of redriven events.
    pub(crate) redrives: Mutex<RateLimit>,
    /// Cancelled when runs are cut off.
    pub(crate) cutting: CancellationToken,
    /// Pending deliveries of ended events.
    pub(crate) deliveries: Deliveries,
    /// The client that sends them.
    pub(crate) outbound: outbound::Client,
    /// Growth of the results since they were counted.
    pub(crate) results: Growth,
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Runs until the queue stops; then it claims no more events.
pub(crate) async fn run(queue: Arc<Queue>) {
    let stop = queue.stop.clone();
    loop {
        let changed = queue.backlog.changed.notified();
        let now = now_ms();
        let dealt = queue.backlog.deal(now, &queue.config, |of, trigger| queue.run.trigger_concurrency(of, trigger));
        if !dealt.claims.is_empty() {
            claim_all(&queue, dealt.claims, now).await;
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let pause = dealt.next_due_ms.map_or(SLEEP_MS_MAX, |due| (due - now_ms()).clamp(0, SLEEP_MS_MAX));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(Duration::from_millis(pause as u64)) => {}
        }
    }
}

async fn claim_all(queue: &Arc<Queue>, claims: Vec<Deal>, now: i64) {
    let claimed = join_all(claims.into_iter().map(|dealt| claim(queue, dealt, now))).await;
    if claimed.iter().any(Result::is_err) {
        tokio::time::sleep(CLAIM_PAUSE).await;
    }
}

/// Claims up to as many events as were dealt and starts their runs.
async fn claim(queue: &Arc<Queue>, dealt: Deal, now: i64) -> Result<(), Error> {
    let Deal { function, trigger, runs } = dealt;
    let of = trigger.as_ref();
    let lease_until_ms = now + queue.config.lease().as_millis() as i64;
    let wanted = Wanted {
        function: function.clone(),
        trigger: trigger.clone(),
        rows_max: runs,
        bytes_max: CLAIM_BYTES_MAX,
        lease_until_ms,
    };
    let owner = queue.owner.clone();
    let letters_max = queue.config.dead_letters_max;
    let claimed = queue.writer.write(runs, move |connection| {
        let taken = claim::claim(connection, &owner, &wanted, now)?;
        for (event, why) in &taken.unreadable {
            set_aside::set_aside(connection, event, why, now, letters_max)?;
        }
        Ok(taken)
    });
    match claimed.await {
        Ok(Taken { events, unreadable, next_due_ms }) => {
            for (event, why) in unreadable {
                tracing::error!(%why, "a damaged row of the queue of events was set aside");
                log_death(&event, event.attempt.saturating_sub(1), Reason::Unreadable);
                queue.backlog.release(&function, Reserved::of(event.payload.len() as u64));
            }
            queue.backlog.claimed(&function, of, runs - events.len(), next_due_ms);
            for event in events {
                queue.runs.spawn(attempt(Arc::clone(queue), event));
            }
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%function, %error, "cannot claim events");
            queue.backlog.claimed(&function, of, runs, Some(now));
            Err(error)
        }
    }
}

/// One run of an event, from its claim to the commit of the outcome.
async fn attempt(queue: Arc<Queue>, event: Claimed) {
    let function = event.address.function.clone();
    let repeat = queue.run.repeat(&event.address);
    let begun = Instant::now();
    let (next, end, room, (answer, web)) = match unfit(&event, repeat, &queue.config) {
        Some(reason) => (Next::Dead(reason), end_without_run(&event, reason), Room::Unknown, Default::default()),
        None => run_once(&queue, &event, repeat).await,
    };
    // A chain that is too deep is not continued by its destinations.
    let destinations = match next {
        Next::Dead(Reason::ChainTooDeep) => Destinations::default(),
        _ => queue.run.destinations(&event.address, &event.request_id),
    };
    let run = LastRun { answer, web, duration_s: begun.elapsed().as_secs_f64(), destinations };
    let bytes = event.payload.len() as u64;
    let (id, trigger) = (event.request_id.clone(), event.trigger.clone());
    if let Next::Wait { until_ms } = next {
        queue.backlog.pause(&function, until_ms);
    }
    // The run's slot is released before its end is durable, so that the next claim shares the
    // commit.
    queue.backlog.ended(&function, trigger.as_ref(), room, &queue.config);
    let stored = store(&queue, event, next, end, run).await;
    queue.running.end(&id);
    match stored {
        Some(Next::Again { due_ms, .. }) => queue.backlog.waits(&function, trigger.as_ref(), due_ms),
        // Not before the pause ends; a run that released room may have ended it already.
        Some(Next::Wait { .. }) => queue.backlog.waits(&function, trigger.as_ref(), now_ms()),
        Some(_) => queue.backlog.release(&function, Reserved::of(bytes)),
        // The event belongs to another owner now.
        None => {}
    }
}

/// Why a claimed event is not run.
fn unfit(event: &Claimed, repeat: Repeat, config: &Config) -> Option<Reason> {
    if event.depth > CHAIN_DEPTH_MAX {
        return Some(Reason::ChainTooDeep);
    }
    if let Some(reason) = retry::given_up(repeat, event.recoveries, config.recoveries_max) {
        return Some(reason);
    }
    // A run that was cut off began in time; the next one continues it.
    let began_in_time = repeat == Repeat::AfterCutOff && event.attempt > 1;
    (!began_in_time && now_ms() > event.history.expires_ms).then_some(Reason::Expired)
}

/// The end of an event that is given up before another run: the outcome of the last run, if one
/// ended. The claim that found it began no run.
fn end_without_run(event: &Claimed, reason: Reason) -> End {
    let status = event.last_status.unwrap_or(RunStatus::InternalError);
    let result = match reason {
        Reason::ChainTooDeep => sending::chain_too_deep(),
        _ => reason.after(event.last_result.as_deref()),
    };
    let attempts = event.attempt.saturating_sub(1);
    End { status: Some(status), attempts, exit: None, result: Some(result), result_bytes: None, now_ms: now_ms() }
}

async fn run_once(queue: &Queue, event: &Claimed, repeat: Repeat) -> (Next, End, Room, (String, Option<WebAnswer>)) {
    let attempt = Attempt {
        request_id: event.request_id.clone(),
        address: event.address.clone(),
        invoke_type: event.invoke_type,
        payload: event.payload.clone(),
        attempt: event.attempt,
        array: event.array,
        retry: event.history.function_failures,
        depth: event.depth,
        answer_bytes_max: event.callback.as_ref().map_or(0, |_| queue.config.callback_bytes_max),
        cancellation: queue.running.begin(&event.request_id, &event.address.function),
    };
    let Outcome { mut status, ret_msg, mut error_message, exit, retry_after, web } = queue.run.run(attempt).await;
    let class = retry::class(status);
    let retry_after = retry_after.map(|wish| wish.min(queue.config.retry_after_max()));
    let now_ms = now_ms();
    let next = match repeat {
        Repeat::Never if retry::may_have_run(class) && queue.cutting.is_cancelled() => {
            let how = error_message.map(|how| format!(" ({how})")).unwrap_or_default();
            error_message = Some(format!("the platform ended during the run{how}"));
            status = RunStatus::InternalError;
            Next::Dead(Reason::CutOff)
        }
        _ if class != Class::Success && is_cut_off(queue, repeat) => {
            let History { function_failures, system_failures, .. } = event.history;
            match retry::may_have_run(class) {
                true => Next::Again { due_ms: now_ms, function_failures, system_failures },
                // The next process begins the run that this one did not begin.
                false => Next::Wait { until_ms: now_ms },
            }
        }
        Repeat::Never | Repeat::AfterCutOff => retry::next_of_one(class, event.history, now_ms),
        Repeat::Retries => retry::next(class, event.history, retry_after, now_ms, rand::random()),
    };
    let answer = error_message.unwrap_or(ret_msg);
    let said = match next {
        Next::Dead(reason @ Reason::Expired) => reason.after(Some(&answer)),
        _ => answer.clone(),
    };
    let (result, result_bytes) = cut(said, queue.config.result_bytes_max);
    metrics::counter!("sampan_events_runs_total", "status" => status.code().to_string()).increment(1);
    // Only runs that began are attempts: a claim may find no room or no function, or be interrupted
    // by the platform's end.
    let has_begun = class != Class::Quota && !is_unresolved(status);
    let is_attempt = has_begun && !matches!(next, Next::Wait { .. });
    let attempts = if is_attempt { event.attempt } else { event.attempt.saturating_sub(1) };
    let end = End { status: Some(status), attempts, exit, result: Some(result), result_bytes, now_ms };
    (next, end, room(class), (answer, web))
}

/// Whether a status means that the call resolved to no version that takes calls.
fn is_unresolved(status: RunStatus) -> bool {
    matches!(status, RunStatus::FunctionNotFound | RunStatus::QualifierNotFound | RunStatus::FunctionStatusError)
}

/// Whether a failure may be caused by the platform's end. For an event with retries every failure
/// counts as such once the platform stops.
fn is_cut_off(queue: &Queue, repeat: Repeat) -> bool {
    match repeat {
        Repeat::Retries => queue.stop.is_cancelled(),
        Repeat::Never | Repeat::AfterCutOff => queue.cutting.is_cancelled(),
    }
}

fn room(class: Class) -> Room {
    match class {
        Class::Success | Class::Function => Room::Used,
        Class::Quota => Room::Wanting,
        Class::Caller | Class::System | Class::Terminated => Room::Unknown,
    }
}

/// Stores the outcome of a run, and returns it: an event that was terminated meanwhile is aborted
/// whatever the outcome. `None` when its claim was no longer valid. An end that cannot be stored is
/// retried until it can, or until the writer has halted: the claim then stays with this process
/// until the next start frees it.
async fn store(queue: &Queue, event: Claimed, next: Next, end: End, run: LastRun) -> Option<Next> {
    let (event, run, attempts) = (Arc::new(event), Arc::new(run), end.attempts);
    let is_temporary = queue.run.is_temporary(&event.address);
    let kept_bytes = end.result.as_ref().map_or(0, String::len) as u64;
    loop {
        let (of, owner, end) = (Arc::clone(&event), queue.owner.clone(), end.clone());
        let (run, config) = (Arc::clone(&run), queue.config.clone());
        let waiting = queue.deliveries.rows();
        let bytes = of.payload.len() + run.web.as_ref().map_or(0, |web| web.body.len());
        let stored = queue.writer.write(bytes, move |connection| {
            let (next, end) = terminate::overrides(connection, &of, next, end)?;
            let stood = match next {
                Next::Finished => finish::finish(connection, &owner, &of, RunState::Finished, &end)?,
                Next::Aborted => finish::finish(connection, &owner, &of, RunState::Aborted, &end)?,
                Next::Again { due_ms, function_failures, system_failures } => {
                    finish::again(connection, &owner, &of, due_ms, (function_failures, system_failures), &end)?
                }
                Next::Wait { .. } => finish::wait(connection, &owner, &of, &end)?,
                Next::Dead(reason) => {
                    let stood = finish::finish(connection, &owner, &of, RunState::Failed, &end)?;
                    if stood {
                        dead::keep(connection, &of, reason, &noted(&end, is_temporary), config.dead_letters_max)?;
                    }
                    stood
                }
            };
            let sending = match sending::ending(next).filter(|_| stood) {
                Some(ending) => sending::send(connection, &of, (ending, &end), &run, waiting, &config)?,
                None => 0,
            };
            Ok((stood.then_some(next), sending))
        });
        match stored.await {
            Ok((stored, sending)) => {
                if sending > 0 {
                    queue.deliveries.added(sending);
                }
                if matches!(stored, Some(Next::Finished | Next::Aborted | Next::Dead(_))) {
                    queue.results.added(kept_bytes, queue.config.results_bytes_max);
                }
                if let Some(Next::Dead(reason)) = stored {
                    log_death(&event, attempts, reason);
                }
                return stored;
            }
            Err(error @ (Error::Stopping | Error::Halted(_))) => {
                tracing::error!(request = %event.request_id, %error, "the end of a run is lost; the event runs again");
                return None;
            }
            Err(error) => {
                tracing::warn!(request = %event.request_id, %error, "cannot store the end of a run yet");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

/// The error of a temporary function's dead letter, added to the end of its last run.
fn noted(end: &End, is_temporary: bool) -> End {
    let mut end = end.clone();
    if is_temporary {
        let said = end.result.take().unwrap_or_default();
        end.result = Some(format!("{said}; {TEMPORARY}"));
    }
    end
}

fn log_death(event: &Claimed, attempts: u32, reason: Reason) {
    let (request, function, reason) = (&event.request_id, &event.address.function, reason.as_str());
    metrics::counter!("sampan_events_dead_total", "reason" => reason).increment(1);
    tracing::warn!(%request, %function, reason, attempts, "an event became a dead letter");
}

/// The kept part of a result, and its full length where it was truncated.
fn cut(mut text: String, bytes_max: usize) -> (String, Option<u64>) {
    let bytes = text.len();
    text.truncate(text.floor_char_boundary(bytes_max));
    let is_cut = text.len() < bytes;
    (text, is_cut.then_some(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_cut_at_characters() {
        assert_eq!(cut("häh".to_owned(), 2), ("h".to_owned(), Some(4)));
        assert_eq!(cut("häh".to_owned(), 4), ("häh".to_owned(), None));
    }

    #[test]
    fn every_status_has_a_class() {
        for status in RunStatus::ALL {
            assert_eq!(retry::class(*status) == Class::Success, status.is_success());
        }
    }
}
