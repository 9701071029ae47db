//! Session affinity of one version: which session slot each key maps to, and when a session ends.
//!
//! A session holds one slot of the instance table for all its requests. The slot returns when the
//! session has ended and its last request is answered.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use types::SessionSpec;

use crate::policy::instance_table::SlotIndex;
use crate::session_key::SessionKey;

/// Identifies a session for as long as it has requests or its key maps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(usize);

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    life: Duration,
    /// `None` when a session has no idle timeout.
    idle: Option<Duration>,
}

/// A slot of the instance table, held by a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionSlot {
    pub slot: SlotIndex,
    /// When the session got it.
    pub since: Instant,
}

struct Session {
    /// The key that maps to it; `None` for a session of one request and for a forgotten one.
    key: Option<SessionKey>,
    begun: Instant,
    /// When the last request came or went.
    used: Instant,
    /// Its requests, including those that wait for its instance.
    requests: u32,
    slot: Option<SessionSlot>,
}

impl Session {
    fn silent_since(&self) -> Option<Instant> {
        (self.requests == 0).then_some(self.used)
    }

    /// When it ends. Requests in flight suspend the idle timeout, not the maximum lifetime.
    fn ends(&self, limits: Limits) -> Instant {
        let old = self.begun + limits.life;
        match (limits.idle, self.silent_since()) {
            (Some(idle), Some(since)) => old.min(since + idle),
            _ => old,
        }
    }
}

/// The sessions; see the module.
pub(crate) struct Affinity {
    limits: Limits,
    by_key: HashMap<SessionKey, SessionId>,
    sessions: Vec<Option<Session>>,
    vacant: Vec<SessionId>,
}

impl Affinity {
    pub fn new(spec: &SessionSpec) -> Self {
        let idle = (!spec.idle_pauses).then(|| Duration::from_secs(u64::from(spec.idle_s_max)));
        let limits = Limits { life: Duration::from_secs(u64::from(spec.ttl_s_max)), idle };
        Self { limits, by_key: HashMap::new(), sessions: Vec::new(), vacant: Vec::new() }
    }

    /// The shortest time in which a session that was just used can end.
    pub fn shortest(&self) -> Duration {
        self.limits.idle.map_or(self.limits.life, |idle| idle.min(self.limits.life))
    }

    /// The session of a key, if it has not ended.
    pub fn known(&self, key: &SessionKey, now: Instant) -> Option<SessionId> {
        let id = *self.by_key.get(key)?;
        self.get(id).filter(|session| now < session.ends(self.limits)).map(|_| id)
    }

    /// Begins a session with one request. The session that the key mapped to before should be
    /// forgotten.
    pub fn begin(&mut self, key: Option<&SessionKey>, now: Instant) -> SessionId {
        let session = Session { key: key.cloned(), begun: now, used: now, requests: 1, slot: None };
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            SessionId(self.sessions.len() - 1)
        });
        self.sessions[id.0] = Some(session);
        if let Some(key) = key {
            self.by_key.insert(key.clone(), id);
        }
        id
    }

    /// Counts another request.
    pub fn enter(&mut self, id: SessionId) {
        self.session(id).requests += 1;
    }

    /// The slot that a session has, once one is found.
    pub fn slot(&self, id: SessionId) -> Option<SlotIndex> {
        self.get(id)?.slot.map(|held| held.slot)
    }

    /// Assigns a slot to a session that has requests.
    pub fn assign(&mut self, id: SessionId, slot: SlotIndex, now: Instant) {
        self.session(id).slot = Some(SessionSlot { slot, since: now });
    }

    /// Removes a request; returns the slot that is released. A session without a slot ends with its
    /// last request.
    pub fn leave(&mut self, id: SessionId, now: Instant) -> Option<SessionSlot> {
        let session = self.session(id);
        session.requests -= 1;
        session.used = now;
        if session.requests == 0 && session.slot.is_none() {
            self.unlink(id);
        }
        self.vacate_if_over(id)
    }

    /// Unmaps the session's key; its requests continue. Returns the slot that is released.
    pub fn forget(&mut self, id: SessionId) -> Option<SessionSlot> {
        self.unlink(id);
        self.vacate_if_over(id)
    }

    /// Forgets the key's session if that has ended.
    pub fn forget_key(&mut self, key: &SessionKey) -> Option<SessionSlot> {
        let id = *self.by_key.get(key)?;
        self.forget(id)
    }

    /// Forgets sessions that have ended.
    pub fn expire(&mut self, now: Instant) -> Vec<SessionSlot> {
        let over = |id: &SessionId| self.get(*id).is_some_and(|session| now >= session.ends(self.limits));
        let ids: Vec<SessionId> = self.by_key.values().copied().filter(over).collect();
        ids.into_iter().filter_map(|id| self.forget(id)).collect()
    }

    /// Forgets all.
    pub fn clear(&mut self) -> Vec<SessionSlot> {
        let ids: Vec<SessionId> = self.by_key.values().copied().collect();
        ids.into_iter().filter_map(|id| self.forget(id)).collect()
    }

    /// Whether no key maps to a session.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether the session has requests or a key that maps to it.
    pub fn contains(&self, id: SessionId) -> bool {
        self.get(id).is_some()
    }

    /// The slots whose sessions are all without requests, and since when.
    pub fn silent(&self) -> HashMap<SlotIndex, Instant> {
        let mut slots: HashMap<SlotIndex, Option<Instant>> = HashMap::new();
        for session in self.sessions.iter().flatten() {
            let Some(held) = session.slot else { continue };
            let since = slots.entry(held.slot).or_insert(Some(session.used));
            *since = since.zip(session.silent_since()).map(|(one, other)| one.max(other));
        }
        slots.into_iter().filter_map(|(slot, since)| Some((slot, since?))).collect()
    }

    /// When the first session ends.
    pub fn next_end(&self) -> Option<Instant> {
        self.by_key.values().filter_map(|id| Some(self.get(*id)?.ends(self.limits))).min()
    }

    fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.0)?.as_ref()
    }

    fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions[id.0].as_mut().expect("a session stays while it has requests")
    }

    fn unlink(&mut self, id: SessionId) {
        if let Some(key) = self.session(id).key.take()
            && self.by_key.get(&key) == Some(&id)
        {
            self.by_key.remove(&key);
        }
    }

    fn vacate_if_over(&mut self, id: SessionId) -> Option<SessionSlot> {
        let session = self.session(id);
        if session.requests > 0 || session.key.is_some() {
            return None;
        }
        let held = session.slot;
        self.sessions[id.0] = None;
        self.vacant.push(id);
        held
    }
}

#[cfg(test)]
mod tests {
    use types::SessionSource;

    use super::*;

    fn affinity(idle_pauses: bool) -> Affinity {
        Affinity::new(&SessionSpec {
            source: SessionSource::Header,
            name: "X-Session".to_owned(),
            per_instance_max: 2,
            ttl_s_max: 100,
            idle_s_max: 10,
            idle_pauses,
        })
    }

    fn key(text: &str) -> SessionKey {
        SessionKey::new(text).expect("valid")
    }

    #[test]
    fn a_session_is_over_when_it_is_silent_for_too_long_or_old() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        // Requests that stay, seconds of the last leave, seconds of the look-up, whether it
        // continues.
        let table = [
            (false, 0, 0, 9, true),
            (false, 0, 0, 10, false),
            (false, 1, 0, 99, true),
            (false, 1, 0, 100, false),
            (false, 0, 95, 99, true),
            (false, 0, 95, 100, false),
            (true, 0, 0, 99, true),
            (true, 0, 0, 100, false),
        ];
        for (idle_pauses, stay, left, look, goes_on) in table {
            let mut affinity = affinity(idle_pauses);
            let id = affinity.begin(Some(&key("a")), now);
            affinity.assign(id, 7, now);
            (0..stay).for_each(|_| affinity.enter(id));
            assert_eq!(affinity.leave(id, after(left)), None, "its key leads to it");
            assert_eq!(affinity.known(&key("a"), after(look)).is_some(), goes_on, "{stay} {left} {look}");
            let ended = affinity.expire(after(look));
            assert_eq!(affinity.is_empty(), !goes_on);
            assert_eq!(ended.len(), usize::from(!goes_on && stay == 0), "requests that it has go on");
        }
    }

    #[test]
    fn a_slot_returns_with_the_last_request_of_a_forgotten_session() {
        let (mut affinity, now) = (affinity(false), Instant::now());
        let first = affinity.begin(Some(&key("a")), now);
        affinity.assign(first, 7, now);
        affinity.enter(first);
        assert_eq!(affinity.forget_key(&key("a")), None);
        let second = affinity.begin(Some(&key("a")), now);
        assert_ne!(first, second);
        assert_eq!(affinity.forget(first), None, "the key leads to the second by now");
        assert_eq!(affinity.known(&key("a"), now), Some(second));
        assert_eq!(affinity.leave(first, now), None);
        assert_eq!(affinity.leave(first, now), Some(SessionSlot { slot: 7, since: now }));
        assert!(!affinity.contains(first) && affinity.contains(second));
    }

    #[test]
    fn sessions_without_a_key_or_a_slot_end_with_their_last_request() {
        let (mut affinity, now) = (affinity(false), Instant::now());
        let alone = affinity.begin(None, now);
        affinity.assign(alone, 3, now);
        assert_eq!(affinity.leave(alone, now).map(|held| held.slot), Some(3));
        let unserved = affinity.begin(Some(&key("a")), now);
        affinity.enter(unserved);
        assert_eq!((affinity.leave(unserved, now), affinity.leave(unserved, now)), (None, None));
        assert!(affinity.is_empty() && !affinity.contains(unserved));
    }

    #[test]
    fn an_instance_is_silent_when_all_its_sessions_are() {
        let (mut affinity, now) = (affinity(false), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let ids = ["a", "b"].map(|text| affinity.begin(Some(&key(text)), now));
        for id in ids {
            affinity.assign(id, 5, now);
        }
        affinity.leave(ids[0], at(1));
        assert!(affinity.silent().is_empty());
        affinity.leave(ids[1], at(3));
        assert_eq!(affinity.silent().into_iter().collect::<Vec<_>>(), [(5, at(3))]);
        assert_eq!(affinity.next_end(), Some(at(11)));
        assert_eq!(affinity.clear().len(), 2);
        assert_eq!(affinity.next_end(), None);
    }
}
