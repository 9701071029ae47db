//! Tables and properties of the state: events and the effects that follow.

use proptest::prelude::*;

use super::*;
use crate::policy::admission::Admission;
use crate::support::{EVENT, Function, WEB, version};

/// An event of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A request comes.
    Request,
    /// A waiting request gives up, if no start or lease is on its way for it.
    GiveUp(usize),
    /// The first start in progress has an instance.
    Started,
    /// It fails.
    Failed,
    /// A lease of a slot returns.
    Release(SlotIndex),
    /// The same while a request of another version has waited longer.
    Yield(SlotIndex),
    /// An instance gets no new leases.
    Retire(SlotIndex),
    /// An instance has ended.
    Ended(SlotIndex),
    /// The version was replaced.
    Drain,
    /// Maintenance looks at it.
    Look,
}

/// A version, the shared admission, and a driver's data for both.
struct World {
    state: VersionState,
    admission: Admission,
    zero: Instant,
    now: Instant,
    waiters: Vec<WaiterId>,
    starts: Vec<StartReason>,
}

impl World {
    fn new(function: Function, config: &Config) -> Self {
        let state = VersionState::new(VersionFacts::of(&version(function, 1)), config);
        let (zero, admission) = (Instant::now(), Admission::new(config));
        Self { state, admission, zero, now: zero, waiters: Vec::new(), starts: Vec::new() }
    }

    /// Applies an event at this second; returns the effects in short form.
    fn at(&mut self, second: f64, event: Event) -> Vec<String> {
        self.now = self.zero + Duration::from_secs_f64(second);
        let mut effects = Vec::new();
        let answer = self.happen(event, &mut effects);
        // As the driver does.
        let deadline = match event {
            Event::Release(_) | Event::Yield(_) => self.state.use_deadline(self.now),
            Event::Request if answer.is_some() => self.state.use_deadline(self.now),
            _ => Some(self.now).filter(|now| self.state.deadline().is_none_or(|deadline| deadline > *now)),
        };
        if event == Event::Look {
            let next = self.state.next_deadline(self.now, 0);
            self.state.set_deadline(next);
        } else if deadline.is_some() {
            self.state.set_deadline(deadline);
        }
        answer.into_iter().chain(effects.iter().map(|effect| self.show(effect))).collect()
    }

    /// Applies the event; returns the outcome of a request.
    fn happen(&mut self, event: Event, effects: &mut Vec<Effect>) -> Option<String> {
        let now = self.now;
        match event {
            Event::Request => return self.request(effects),
            Event::GiveUp(n) => return Some(format!("{:?}", self.state.give_up(self.waiters[n]))),
            Event::Started => {
                let reason = self.starts.remove(0);
                self.state.started(reason, Age::Current, Duration::from_secs(1), now, effects);
                self.state.recovered(reason);
            }
            Event::Failed => {
                let (reason, error) = (self.starts.remove(0), failure());
                self.state.start_failed((reason, Age::Current), &error, now - Duration::from_millis(1), now, effects);
                self.release_room(false);
            }
            Event::Release(slot) | Event::Yield(slot) => {
                let yields = matches!(event, Event::Yield(_));
                effects.extend(self.state.release(slot, false, Duration::from_millis(1), yields, now));
            }
            Event::Retire(slot) => self.state.retire(slot, effects),
            Event::Ended(slot) => {
                self.state.ended(slot, effects);
                self.release_room(false);
            }
            Event::Drain => {
                self.state.drain(&failure(), effects);
            }
            Event::Look => {
                self.state.set_deadline(None);
                self.state.expire(now, 0, effects);
                self.state.start_forecast(&mut self.admission, now, effects);
                if self.state.backoff_is_over(now) {
                    self.state.start_wanted(&mut self.admission, now, effects);
                }
            }
        }
        None
    }

    fn request(&mut self, effects: &mut Vec<Effect>) -> Option<String> {
        match self.state.acquire(self.now) {
            Acquired::Slot { slot, .. } => Some(format!("slot {slot}")),
            Acquired::Busy => {
                self.waiters.push(self.state.wait(self.now));
                match self.state.start_wanted(&mut self.admission, self.now, effects)?.why {
                    InTheWay::Limit(limit) => Some(format!("wait for {limit:?}")),
                    InTheWay::Failure(_) => Some("wait for the backoff".to_owned()),
                }
            }
            other => Some(format!("{other:?}")),
        }
    }

    fn release_room(&mut self, told: bool) {
        self.admission.release(&self.state.facts.version.function_id, self.state.facts.memory_mb, told);
    }

    fn show(&mut self, effect: &Effect) -> String {
        let number = |waiter| self.waiters.iter().position(|known| *known == waiter).expect("it waited");
        match *effect {
            Effect::Start(reason) => {
                self.starts.push(reason);
                match reason {
                    StartReason::Request(waiter) => format!("start for {}", number(waiter)),
                    other => format!("start for {other:?}"),
                }
            }
            Effect::Serve { waiter, slot } => format!("serve {} at {slot}", number(waiter)),
            Effect::Refuse { waiter, .. } => format!("refuse {}", number(waiter)),
            Effect::Stop { slot, capped: false } => format!("stop {slot}"),
            Effect::Stop { slot, capped: true } => format!("evict {slot}"),
            Effect::Freeze { slot } => format!("freeze {slot}"),
            Effect::Return(held) => format!("return {}", held.slot),
            Effect::Forget { slot } => format!("forget {slot}"),
        }
    }

    fn play(&mut self, table: &[(f64, Event, &[&str])]) {
        for (second, event, expected) in table {
            assert_eq!(self.at(*second, *event), *expected, "{event:?} at {second}");
        }
    }
}

fn failure() -> LeaseError {
    LeaseError::Launch(crate::launch::LaunchError {
        status: types::RunStatus::PortBindingFailed,
        message: "it did not listen".to_owned(),
        detail: String::new(),
        cold_start: crate::launch::ColdStart::default(),
        peak_bytes: 0,
    })
}

fn config() -> Config {
    Config { keep_idle_s_min: 10, freeze_after_ms: 1000, ..Config::default() }
}

#[test]
fn an_instance_is_started_served_frozen_stopped_and_forgotten() {
    World::new(EVENT, &config()).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (1.0, Event::Started, &["serve 0 at 0"]),
        (1.5, Event::Look, &[]),
        (2.0, Event::Release(0), &[]),
        (2.5, Event::Look, &[]),
        (2.6, Event::Request, &["slot 0"]),
        (3.0, Event::Release(0), &[]),
        (4.0, Event::Look, &["freeze 0"]),
        (62.9, Event::Look, &[]),
        (63.0, Event::Look, &["stop 0"]),
        (64.0, Event::Ended(0), &["forget 0"]),
    ]);
}

#[test]
fn requests_wait_for_a_slot_that_comes_free_and_keep_their_order() {
    let config = Config { instances_per_function_max: 1, ..config() };
    World::new(EVENT, &config).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (0.1, Event::Request, &["wait for FunctionInstances { max: 1 }"]),
        (0.2, Event::Request, &["wait for FunctionInstances { max: 1 }"]),
        (1.0, Event::Started, &["serve 0 at 0"]),
        (2.0, Event::Release(0), &["serve 1 at 0"]),
        (3.0, Event::GiveUp(2), &["Removed"]),
        (4.0, Event::Release(0), &[]),
    ]);
}

#[test]
fn an_instance_serves_as_many_as_it_may_from_its_start_on() {
    World::new(Function { concurrency: 2, ..WEB }, &config()).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (0.1, Event::Request, &[]),
        (0.2, Event::Request, &["start for 1"]),
        (1.0, Event::Started, &["serve 0 at 0", "serve 1 at 0"]),
        (1.1, Event::Started, &["serve 2 at 1"]),
        (1.2, Event::Request, &["slot 1"]),
    ]);
}

#[test]
fn a_start_that_failed_is_tried_again_after_a_pause() {
    World::new(EVENT, &config()).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (1.0, Event::Failed, &["refuse 0"]),
        (1.5, Event::Request, &["wait for the backoff"]),
        (1.6, Event::Look, &[]),
        (2.0, Event::Look, &["start for 1"]),
        (3.0, Event::Started, &["serve 1 at 0"]),
    ]);
}

#[test]
fn a_version_that_was_replaced_refuses_who_waits_and_ends_what_serves() {
    World::new(EVENT, &config()).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (0.1, Event::Request, &["start for 1"]),
        (1.0, Event::Started, &["serve 0 at 0"]),
        (2.0, Event::Drain, &["refuse 1"]),
        (2.1, Event::Request, &["Draining"]),
        (2.2, Event::Drain, &[]),
        (3.0, Event::Started, &["stop 1"]),
        (4.0, Event::Release(0), &["stop 0"]),
        (5.0, Event::Ended(0), &["forget 0"]),
        (5.1, Event::Ended(1), &["forget 1"]),
    ]);
}

#[test]
fn a_retired_instance_ends_when_its_last_lease_returns_and_one_that_yields_is_evicted() {
    World::new(EVENT, &config()).play(&[
        (0.0, Event::Request, &["start for 0"]),
        (0.1, Event::Request, &["start for 1"]),
        (1.0, Event::Started, &["serve 0 at 0"]),
        (1.0, Event::Started, &["serve 1 at 1"]),
        (2.0, Event::Retire(0), &[]),
        (3.0, Event::Release(0), &["stop 0"]),
        (3.5, Event::Retire(0), &[]),
        (4.0, Event::Yield(1), &["evict 1"]),
        (5.0, Event::Ended(1), &["forget 1"]),
        (5.1, Event::Request, &["start for 2"]),
        (6.0, Event::Started, &["serve 2 at 1"]),
        (7.0, Event::Ended(1), &[]),
        (8.0, Event::Release(1), &["forget 1"]),
    ]);
}

#[test]
fn a_session_keeps_its_slot_until_it_is_over_and_none_on_an_instance_that_ends() {
    let mut world = World::new(Function { sessions: Some(2), ..WEB }, &config());
    let (key, mut effects) = (SessionKey::new("a").expect("a key"), Vec::new());
    let enter = |world: &mut World, second: u64, effects: &mut Vec<Effect>| {
        world.now = world.zero + Duration::from_secs(second);
        world.state.enter_session(Some(&key), world.now, effects).expect("it has sessions")
    };
    let (first, slot) = enter(&mut world, 0, &mut effects);
    assert_eq!(slot, None);
    world.play(&[(0.0, Event::Request, &["start for 0"]), (1.0, Event::Started, &["serve 0 at 0"])]);
    world.state.assign_session(first, 0, world.now);
    assert_eq!(enter(&mut world, 2, &mut effects), (first, Some(0)));
    for _ in 0..2 {
        world.state.leave_session(first, world.now, &mut effects);
    }
    assert!(effects.is_empty(), "the key leads to it");
    world.play(&[
        (2.5, Event::Look, &[]),
        (3.0, Event::Look, &["freeze 0"]),
        (31.9, Event::Look, &["freeze 0"]),
        (32.0, Event::Look, &["return 0"]),
        (32.0, Event::Release(0), &[]),
    ]);
    let (second, _) = enter(&mut world, 33, &mut effects);
    world.play(&[(33.0, Event::Request, &["slot 0"])]);
    world.state.assign_session(second, 0, world.now);
    world.play(&[(34.0, Event::Retire(0), &[])]);
    let (third, slot) = enter(&mut world, 35, &mut effects);
    assert_eq!((third == second, slot), (false, None));
    world.state.leave_session(second, world.now, &mut effects);
    assert_eq!(effects.iter().map(|effect| world.show(effect)).collect::<Vec<_>>(), ["return 0"]);
}

#[test]
fn a_version_is_over_when_nothing_is_left_of_it_and_nothing_is_to_come() {
    let mut world = World::new(EVENT, &config());
    assert!(world.state.is_over(world.now));
    world.play(&[(0.0, Event::Request, &["start for 0"]), (1.0, Event::Failed, &["refuse 0"])]);
    assert!(!world.state.is_over(world.now), "its failure is remembered");
    assert_eq!(world.state.next_deadline(world.now, 0), Some(world.now + Duration::from_secs(1)));
    world.play(&[(2.9, Event::Look, &[])]);
    assert!(!world.state.is_over(world.now));
    world.play(&[(3.0, Event::Look, &[])]);
    assert!(world.state.is_over(world.now));
    world.state.set_unserved(true);
    assert!(!world.state.is_over(world.now), "its check waits for room");
    world.state.set_unserved(false);
    assert_eq!(world.state.next_deadline(world.now, 0), None);
    world.state.close();
    assert_eq!(world.state.acquire(world.now), Acquired::Closed);
}

#[test]
fn errors_name_the_function() {
    let why = InTheWay::Limit(crate::LimitExceeded::Instances { max: 3 });
    let refused = Refused { why, room_expected: false, since: Instant::now() };
    let key = FunctionKey { namespace: "default".parse().expect("valid"), name: "f1".parse().expect("valid") };
    assert!(refused.error(&key).to_string().contains("f1"));
    assert!(!refused.outlasts_waiting());
}

/// Requests come in bursts with durations; starts take time and sometimes fail.
fn traffic() -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    let pause = prop_oneof![6 => 0_u64..500, 3 => 500_u64..20_000, 2 => 20_000_u64..300_000];
    proptest::collection::vec((pause, 1_u64..3000, proptest::bool::weighted(0.1)), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Maintenance examines a version only when its deadline has passed. A pass at any other time
    /// has no work.
    #[test]
    fn nothing_is_to_be_done_before_the_deadline(requests in traffic(), concurrency in 1_u32..3) {
        let mut world = World::new(Function { concurrency, ..EVENT }, &config());
        let (mut requests, mut busy) = (requests.into_iter(), Vec::<(u64, SlotIndex)>::new());
        let (mut next, mut last_use) = (requests.next(), 0);
        // Tenths of a second.
        for tenth in 0..60_000_u64 {
            let second = tenth as f64 / 10.0;
            let now_ms = tenth * 100;
            let mut happened = Vec::new();
            while let Some((pause_ms, _, fails)) = next.filter(|(pause_ms, ..)| last_use + pause_ms <= now_ms) {
                last_use += pause_ms;
                happened.extend(world.at(second, Event::Request));
                next = requests.next();
                if fails && !world.starts.is_empty() {
                    happened.extend(world.at(second, Event::Failed));
                }
            }
            while tenth % 5 == 0 && !world.starts.is_empty() {
                happened.extend(world.at(second, Event::Started));
            }
            let ended = busy.extract_if(.., |(until, _)| *until <= now_ms).collect::<Vec<_>>();
            for (_, slot) in ended {
                happened.extend(world.at(second, Event::Release(slot)));
            }
            if tenth % 10 == 0 {
                let due = world.state.deadline().is_some_and(|deadline| deadline <= world.zero + Duration::from_millis(now_ms));
                let recent = now_ms < last_use + 1000;
                // A waiting request retries by itself when its patience ends.
                let waits = world.state.table.waiting_since().is_some();
                let done = world.at(second, Event::Look);
                prop_assert!(due || recent || waits || done.is_empty(), "{done:?} at {second}");
                happened.extend(done);
            }
            for effect in happened {
                let words: Vec<&str> = effect.split(' ').collect();
                match words[..] {
                    ["slot", slot] | ["serve", _, "at", slot] => busy.push((now_ms + 700, slot.parse().expect("a slot"))),
                    ["stop", slot] => {
                        world.at(second, Event::Ended(slot.parse().expect("a slot")));
                    }
                    _ => {}
                }
            }
            if next.is_none() && busy.is_empty() && world.starts.is_empty() && world.state.deadline().is_none() {
                break;
            }
        }
        prop_assert!(world.state.deadline().is_none_or(|_| next.is_some() || !busy.is_empty() || !world.starts.is_empty()));
    }
}
