//! Replays calls of one version on a virtual clock, under the pool's own state and policy.
//!
//! A second driver of the state, for simulations: starts take a fixed time, nothing fails, and no
//! limit refuses.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use types::{FunctionKey, VersionKey, VersionName};

use crate::config::Config;
use crate::policy::admission::Admission;
use crate::policy::instance_table::{Age, SlotIndex};
use crate::policy::queue::WaiterId;
use crate::state::{Acquired, Effect, StartReason, VersionFacts, VersionState};

/// Results of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How long each call waited for its instance, in the order in which they were served.
    pub waits: Vec<Duration>,
    /// Starts that were begun because a call waited.
    pub cold_starts: u64,
    /// Time of all instances together in which they served no call, starts ahead of calls included.
    pub idle: Duration,
}

/// A scheduled event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Release(SlotIndex),
    Started(usize),
    Patience(WaiterId),
    Look,
}

/// A version on a virtual clock.
pub struct Replay {
    state: VersionState,
    admission: Admission,
    start: Duration,
    zero: Instant,
    now: Instant,
    happenings: BinaryHeap<Reverse<(Instant, Happening)>>,
    /// When the next maintenance pass is due: at whole seconds, as in the driver.
    look: Option<Instant>,
    /// When each waiting call arrived, and its duration.
    waiting: HashMap<WaiterId, (Instant, Duration)>,
    /// Since when each slot is leased.
    leased: HashMap<SlotIndex, Instant>,
    starts: HashMap<usize, StartReason>,
    starts_begun: usize,
    /// Instances that serve no call, and those that are started ahead of calls.
    idle: u32,
    replayed: Replayed,
}

impl Replay {
    /// A version whose instances serve one call at a time and take `start` to be ready; only the
    /// keep-alive policy of `config` is used.
    pub fn new(config: &Config, start: Duration) -> Self {
        let config = Config {
            instances_max: u32::MAX,
            instances_per_function_max: u32::MAX,
            memory_mb_max: 0,
            starts_per_minute_max: 0,
            provisioned_starts_per_minute_max: 0,
            ..config.clone()
        };
        let key = FunctionKey {
            namespace: "default".parse().expect("a namespace"),
            name: "replayed".parse().expect("a name"),
        };
        let version = VersionKey {
            function_id: "lam-00000001".parse().expect("an id"),
            version: VersionName::Latest,
            generation: 1,
        };
        let facts = VersionFacts {
            version,
            function: key,
            memory_mb: 1,
            leases_max: 1,
            session: None,
            may_freeze: false,
            one_shot: false,
        };
        let zero = Instant::now();
        Self {
            state: VersionState::new(facts, &config),
            admission: Admission::new(&config),
            start,
            zero,
            now: zero,
            happenings: BinaryHeap::new(),
            look: None,
            waiting: HashMap::new(),
            leased: HashMap::new(),
            starts: HashMap::new(),
            starts_begun: 0,
            idle: 0,
            replayed: Replayed::default(),
        }
    }

    /// Adds a call with its duration, at a time not before the previous ones.
    pub fn call(&mut self, at: Duration, run: Duration) {
        self.run_until(self.zero + at);
        let mut effects = Vec::new();
        match self.state.acquire(self.now) {
            Acquired::Slot { slot, prewarm } => {
                self.idle -= 1;
                self.serve(slot, Duration::ZERO, run);
                if prewarm {
                    self.state.start_next(&mut self.admission, self.now, &mut effects);
                }
            }
            _ => {
                let waiter = self.state.wait(self.now);
                self.waiting.insert(waiter, (self.now, run));
                self.state.start_wanted(&mut self.admission, self.now, &mut effects);
                self.happen_in(self.state.table.patience(), Happening::Patience(waiter));
            }
        }
        self.perform(effects);
        self.note_use();
    }

    /// Runs everything in progress to its end.
    pub fn finish(mut self) -> Replayed {
        while let Some(Reverse((at, _))) = self.happenings.peek().copied() {
            self.run_until(at);
        }
        self.replayed
    }

    fn run_until(&mut self, until: Instant) {
        while let Some(Reverse((at, happening))) = self.happenings.peek().copied().filter(|next| next.0.0 <= until) {
            self.happenings.pop();
            self.advance(at);
            self.happen(happening);
        }
        self.advance(until);
    }

    fn advance(&mut self, to: Instant) {
        self.replayed.idle += to.saturating_duration_since(self.now) * self.idle;
        self.now = self.now.max(to);
    }

    fn happen(&mut self, happening: Happening) {
        let mut effects = Vec::new();
        match happening {
            Happening::Release(slot) => {
                self.idle += 1;
                let since = self.leased.remove(&slot).unwrap_or(self.now);
                let out = self.now.saturating_duration_since(since);
                effects.extend(self.state.release(slot, false, out, false, self.now));
            }
            Happening::Started(number) => {
                let reason = self.starts.remove(&number).expect("a start ends once");
                if matches!(reason, StartReason::Request(_)) {
                    self.idle += 1;
                }
                self.state.started(reason, Age::Current, self.start, self.now, &mut effects);
                self.state.start_next(&mut self.admission, self.now, &mut effects);
            }
            Happening::Patience(waiter) => {
                if self.waiting.contains_key(&waiter) {
                    self.state.start_wanted(&mut self.admission, self.now, &mut effects);
                }
            }
            Happening::Look => {
                if self.look.is_none_or(|look| look > self.now) {
                    return;
                }
                self.look = None;
                self.state.set_deadline(None);
                self.state.expire(self.now, 0, &mut effects);
                self.state.start_forecast(&mut self.admission, self.now, &mut effects);
                let next = self.state.next_deadline(self.now, 0);
                self.state.set_deadline(next);
            }
        }
        self.perform(effects);
        match happening {
            Happening::Release(_) => self.note_use(),
            Happening::Look => {}
            _ if self.state.deadline().is_none_or(|deadline| deadline > self.now) => {
                self.state.set_deadline(Some(self.now));
            }
            _ => {}
        }
        self.schedule_look();
    }

    /// Sets the deadline of a just used version, as the driver does.
    fn note_use(&mut self) {
        if let Some(at) = self.state.use_deadline(self.now) {
            self.state.set_deadline(Some(at));
        }
        self.schedule_look();
    }

    fn schedule_look(&mut self) {
        let Some(deadline) = self.state.deadline() else { return };
        let after = deadline.max(self.now).saturating_duration_since(self.zero);
        // The first whole second from `after` on and after now, so that passes do not coincide.
        let mut at = self.zero + Duration::from_secs(after.as_secs() + u64::from(after.subsec_nanos() > 0));
        if at <= self.now {
            at += Duration::from_secs(1);
        }
        if self.look.is_none_or(|look| at < look) {
            self.look = Some(at);
            self.happenings.push(Reverse((at, Happening::Look)));
        }
    }

    fn happen_in(&mut self, after: Duration, happening: Happening) {
        self.happenings.push(Reverse((self.now + after, happening)));
    }

    fn serve(&mut self, slot: SlotIndex, wait: Duration, run: Duration) {
        self.replayed.waits.push(wait);
        self.leased.insert(slot, self.now);
        self.happen_in(run, Happening::Release(slot));
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(reason) => {
                    match reason {
                        StartReason::Request(_) => self.replayed.cold_starts += 1,
                        _ => self.idle += 1,
                    }
                    self.starts_begun += 1;
                    self.starts.insert(self.starts_begun, reason);
                    self.happen_in(self.start, Happening::Started(self.starts_begun));
                }
                Effect::Serve { waiter, slot } => {
                    let (came, run) = self.waiting.remove(&waiter).expect("it waits");
                    self.idle -= 1;
                    self.serve(slot, self.now.saturating_duration_since(came), run);
                }
                Effect::Stop { slot, .. } => {
                    self.idle -= 1;
                    let mut ended = Vec::new();
                    self.state.ended(slot, &mut ended);
                    let facts = self.state.facts();
                    self.admission.release(&facts.version.function_id, facts.memory_mb, false);
                }
                // Nothing fails and there are no sessions; a frozen instance costs the same memory.
                Effect::Refuse { .. } | Effect::Return(_) | Effect::Freeze { .. } | Effect::Forget { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(calls: &[(f64, f64)]) -> Replayed {
        let config = Config { keep_idle_s: 60, keep_idle_s_min: 10, keep_idle_s_max: 600, ..Config::default() };
        let mut replay = Replay::new(&config, Duration::from_secs(1));
        for (at, run) in calls {
            replay.call(Duration::from_secs_f64(*at), Duration::from_secs_f64(*run));
        }
        replay.finish()
    }

    fn waited(replayed: &Replayed) -> Vec<f64> {
        replayed.waits.iter().map(Duration::as_secs_f64).collect()
    }

    #[test]
    fn a_call_within_a_minute_finds_the_instance_and_a_later_one_does_not() {
        let replayed = replay(&[(0.0, 2.0), (33.0, 2.0), (200.0, 2.0)]);
        assert_eq!((waited(&replayed), replayed.cold_starts), (vec![1.0, 0.0, 1.0], 2));
        // From 3 to 33, from 35 to 95, and a minute from 203 on.
        assert_eq!(replayed.idle, Duration::from_secs(30 + 60 + 60));
    }

    #[test]
    fn calls_at_once_have_an_instance_each_or_wait_for_one_that_is_sooner() {
        assert_eq!(waited(&replay(&[(0.0, 9.0), (0.0, 9.0)])), [1.0, 1.0]);
        let soon = replay(&[(0.0, 0.1), (10.0, 0.1), (10.05, 0.1)]);
        assert_eq!(soon.cold_starts, 1);
        assert_eq!(waited(&soon).iter().map(|wait| (wait * 100.0).round()).collect::<Vec<_>>(), [100.0, 0.0, 5.0]);
    }

    #[test]
    fn the_instance_of_a_timer_is_prewarmed() {
        let calls: Vec<(f64, f64)> = (0..20).map(|n| (f64::from(n) * 300.0, 1.0)).collect();
        let waits = waited(&replay(&calls));
        assert_eq!(waits.iter().filter(|wait| **wait > 0.0).count(), 7, "{waits:?}");
        assert_eq!(waits[8..], [0.0; 12]);
    }
}
