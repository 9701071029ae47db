//! The sessions of one version: which instance each key leads to, and when a session is over.
//!
//! A session is a lease that is kept between requests, so that the table needs to know nothing of it: it counts sessions
//! where it counts requests of other versions. Must not know where a key was found, nor how its instance is got.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use types::SessionSpec;

use crate::instance::{Instance, Lease};
use crate::policy::instance_table::SlotIndex;
use crate::session_key::SessionKey;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionLimits {
    life: Duration,
    /// `None` when silence does not end a session.
    idle: Option<Duration>,
}

impl SessionLimits {
    pub fn of(spec: &SessionSpec) -> Self {
        let idle = (!spec.idle_pauses).then(|| Duration::from_secs(u64::from(spec.idle_s_max)));
        Self { life: Duration::from_secs(u64::from(spec.ttl_s_max)), idle }
    }

    /// Whether a session of these times is over. Requests that it has keep it from being silent, not from growing old.
    fn over(&self, times: Times, now: Instant) -> bool {
        let silent = |idle| times.riders == 0 && now.saturating_duration_since(times.used) >= idle;
        now.saturating_duration_since(times.begun) >= self.life || self.idle.is_some_and(silent)
    }
}

/// What is remembered of a session's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    begun: Instant,
    /// When the last request came or went.
    used: Instant,
    /// Requests that it has or that wait for its instance.
    riders: u32,
}

/// A session; its lease returns when it is forgotten and its last request is answered.
pub(crate) struct Session<C: Default + Send + Sync + 'static> {
    /// Its instance, once one is found.
    pub seat: OnceCell<Lease<C>>,
    times: Mutex<Times>,
}

impl<C: Default + Send + Sync + 'static> Session<C> {
    /// A session that begins with a request.
    pub fn begin(now: Instant) -> Arc<Self> {
        let times = Times { begun: now, used: now, riders: 1 };
        Arc::new(Self { seat: OnceCell::new(), times: Mutex::new(times) })
    }

    /// A request leaves; how many are left.
    pub fn leave(&self, now: Instant) -> u32 {
        let mut times = self.times.lock();
        times.riders -= 1;
        times.used = now;
        times.riders
    }
}

/// An instance with sessions, none of which has a request.
pub(crate) struct Silent<C: Default + Send + Sync + 'static> {
    pub instance: Arc<Instance<C>>,
    /// Since when.
    pub since: Instant,
    requests: u32,
}

/// The table; see the module.
pub(crate) struct Sessions<C: Default + Send + Sync + 'static> {
    limits: SessionLimits,
    by_key: Mutex<HashMap<SessionKey, Arc<Session<C>>>>,
}

impl<C: Default + Send + Sync + 'static> Sessions<C> {
    pub fn new(limits: SessionLimits) -> Self {
        Self { limits, by_key: Mutex::default() }
    }

    /// The session of a key, which has one request more; begun where there is none that goes on.
    pub fn enter(&self, key: &SessionKey, now: Instant) -> Arc<Session<C>> {
        let mut by_key = self.by_key.lock();
        let known = by_key.get(key).and_then(|session| {
            let mut times = session.times.lock();
            (!self.limits.over(*times, now)).then(|| {
                times.riders += 1;
                Arc::clone(session)
            })
        });
        if let Some(session) = known {
            return session;
        }
        let session = Session::begin(now);
        let old = by_key.insert(key.clone(), Arc::clone(&session));
        drop(by_key);
        // Not under the lock: its lease may return.
        drop(old);
        session
    }

    /// Forgets this session, unless its key has another one by now. Its requests go on.
    pub fn forget(&self, key: &SessionKey, session: &Arc<Session<C>>) {
        let mut by_key = self.by_key.lock();
        if by_key.get(key).is_some_and(|current| Arc::ptr_eq(current, session)) {
            let old = by_key.remove(key);
            drop(by_key);
            drop(old);
        }
    }

    /// Forgets those that are over.
    pub fn expire(&self, now: Instant) {
        let over: Vec<Arc<Session<C>>> = self
            .by_key
            .lock()
            .extract_if(|_, session| self.limits.over(*session.times.lock(), now))
            .map(|(_, old)| old)
            .collect();
        drop(over);
    }

    /// Forgets all.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.by_key.lock());
        drop(all);
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.lock().is_empty()
    }

    /// The instances all of whose sessions are silent.
    pub fn silent(&self) -> Vec<Silent<C>> {
        let mut instances: HashMap<SlotIndex, Silent<C>> = HashMap::new();
        for session in self.by_key.lock().values() {
            let Some(seat) = session.seat.get() else { continue };
            let times = *session.times.lock();
            let known = instances.entry(seat.index()).or_insert_with(|| Silent {
                instance: Arc::clone(seat.instance()),
                since: times.used,
                requests: 0,
            });
            known.since = known.since.max(times.used);
            known.requests += times.riders;
        }
        instances.into_values().filter(|silent| silent.requests == 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use types::SessionSource;

    use super::*;

    fn spec(idle_pauses: bool) -> SessionSpec {
        let (source, name) = (SessionSource::Header, "X-Session".to_owned());
        SessionSpec { source, name, per_instance_max: 2, ttl_s_max: 100, idle_s_max: 10, idle_pauses }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_over_when_it_is_silent_or_old() {
        let (limits, begun) = (SessionLimits::of(&spec(false)), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let times = |used, riders| Times { begun, used: after(used), riders };
        assert!(!limits.over(times(50, 0), after(59)));
        assert!(limits.over(times(50, 0), after(60)));
        assert!(!limits.over(times(50, 1), after(99)), "it has a request");
        assert!(limits.over(times(95, 1), after(100)), "it is old");
        let pausing = SessionLimits::of(&spec(true));
        assert!(!pausing.over(times(0, 0), after(99)));
        assert!(pausing.over(times(0, 0), after(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_leads_to_its_session_until_that_is_over_or_forgotten() {
        let sessions = Sessions::<()>::new(SessionLimits::of(&spec(false)));
        let (key, now) = (SessionKey::new("a").expect("valid"), Instant::now());
        let first = sessions.enter(&key, now);
        assert!(Arc::ptr_eq(&first, &sessions.enter(&key, now)));
        assert_eq!((first.leave(now), first.leave(now)), (1, 0));
        let later = now + Duration::from_secs(10);
        let second = sessions.enter(&key, later);
        assert!(!Arc::ptr_eq(&first, &second));
        sessions.forget(&key, &first);
        assert!(!sessions.is_empty(), "it is not the one that the key leads to");
        sessions.forget(&key, &second);
        assert!(sessions.is_empty());
        sessions.enter(&key, later).leave(later);
        sessions.expire(later + Duration::from_secs(9));
        assert!(!sessions.is_empty());
        sessions.expire(later + Duration::from_secs(10));
        assert!(sessions.is_empty());
    }
}
