//! Singleflight: one piece of work at a time per key; concurrent callers with the same key share
//! its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use crate::Error;

/// Work in progress by key. It runs in its callers, without a task: it continues while at least one
/// of them waits, and is cancelled with the last.
pub(crate) struct Singleflight<K, S, T: Clone>(Mutex<HashMap<K, Call<S, T>>>);

struct Call<S, T: Clone> {
    state: Arc<S>,
    work: WeakShared<BoxFuture<'static, T>>,
}

/// A joined call: await `work`, watch `state`.
struct Joined<S, T: Clone> {
    /// Progress of the work.
    state: Arc<S>,
    /// Its result.
    work: Shared<BoxFuture<'static, T>>,
    /// Whether this caller started the work.
    led: bool,
}

/// A failure, and the caller's input that it concerns.
#[derive(Clone)]
pub(crate) struct Failed {
    by: Arc<str>,
    error: Error,
}

impl<K: Eq + Hash + Clone, S, T: Clone> Singleflight<K, S, T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Joins the call under `key`, or begins `work`.
    fn join(&self, key: &K, begin: impl FnOnce() -> (Arc<S>, BoxFuture<'static, T>)) -> Joined<S, T> {
        let mut calls = self.0.lock();
        if let Some(call) = calls.get(key)
            && let Some(work) = call.work.upgrade()
            // A completed result may be an old failure.
            && work.peek().is_none()
        {
            return Joined { state: call.state.clone(), work, led: false };
        }
        calls.retain(|_, call| call.work.upgrade().is_some_and(|work| work.peek().is_none()));
        let (state, work) = begin();
        let work = work.shared();
        let weak = work.downgrade().expect("work that nobody has polled cannot have ended");
        calls.insert(key.clone(), Call { state: state.clone(), work: weak });
        Joined { state, work, led: true }
    }
}

impl<K: Eq + Hash + Clone, S: Send + Sync + 'static, T: Clone + Send + 'static> Singleflight<K, S, Result<T, Failed>> {
    /// The result of the work under `key`, and whether this caller started it. `by` names the
    /// source of the work's input: a failure of another source, such as another registry, does not
    /// apply to this caller, which then tries its own.
    pub(crate) async fn run(
        &self,
        key: &K,
        by: &Arc<str>,
        begin: impl Fn() -> (Arc<S>, BoxFuture<'static, Result<T, Error>>),
        joined: impl Fn(Arc<S>),
    ) -> Result<(T, bool), Error> {
        loop {
            let call = self.join(key, || {
                let (state, work) = begin();
                let by = by.clone();
                (state, async move { work.await.map_err(|error| Failed { by, error }) }.boxed())
            });
            joined(call.state);
            match call.work.await {
                Ok(value) => return Ok((value, call.led)),
                Err(failed) if call.led || failed.by == *by => return Err(failed.error),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_run_and_later_ones_run_again() {
        let runs = Arc::new(AtomicUsize::new(0));
        let calls = Singleflight::new();
        let begin = || {
            let runs = runs.clone();
            let work = async move {
                tokio::task::yield_now().await;
                runs.fetch_add(1, Ordering::SeqCst)
            };
            (Arc::new(()), work.boxed())
        };
        let first = calls.join(&1, begin);
        let second = calls.join(&1, begin);
        assert_eq!((first.led, second.led), (true, false));
        assert_eq!(futures_util::join!(first.work, second.work), (0, 0));
        assert_eq!(calls.join(&1, begin).work.await, 1);
    }

    #[tokio::test]
    async fn a_leader_that_goes_away_leaves_the_work_to_those_that_wait() {
        let calls = Singleflight::new();
        let begin = || (Arc::new(()), async { 7 }.boxed());
        let first = calls.join(&1, begin);
        let second = calls.join(&1, || unreachable!("the first one runs"));
        drop(first);
        assert_eq!(second.work.await, 7);
    }
}
