//! Tables and properties of the instance table.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::starts::Started;
use super::*;

type Table = InstanceTable;

const NONE: [SlotIndex; 0] = [];
const RUN: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    // Instants have no zero; all tests count from the first one that is asked for.
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ZERO.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

fn new_table(concurrency: u32) -> Table {
    let s = Duration::from_secs;
    Table::new(concurrency, KeepAlivePolicy { cold_start: s(60), keep_min: s(2), keep_max: s(600) })
}

fn queue(table: &mut Table, requests: usize) -> Vec<WaiterId> {
    (0..requests).map(|_| table.wait(at(0))).collect()
}

/// A table with one started instance, leased to nobody.
fn with_idle(concurrency: u32) -> (Table, SlotIndex) {
    let mut table = new_table(concurrency);
    let waiter = table.wait(at(0));
    assert_eq!(table.begin_start(), Some(waiter));
    assert!(table.cancel(waiter));
    let started = table.started(Some(waiter), Age::Current, Duration::ZERO, at(0));
    assert_eq!(started, Started { slot: started.slot, granted: vec![], end: false });
    let slot = started.slot;
    (table, slot)
}

#[test]
fn a_start_covers_as_many_waiters_as_the_instance_will_serve() {
    for (concurrency, waiters, wanted) in [(1, 0, 0), (1, 3, 3), (2, 1, 1), (2, 4, 2), (2, 5, 3), (100, 100, 1)] {
        let mut table = new_table(concurrency);
        queue(&mut table, waiters);
        assert_eq!(table.starts_wanted(at(0)), wanted, "{waiters} waiters at {concurrency}");
        for _ in 0..wanted {
            assert!(table.begin_start().is_some());
        }
        assert_eq!(table.starts_wanted(at(0)), 0);
    }
}

#[test]
fn a_returning_lease_keeps_a_waiter_from_starting_an_instance() {
    let (mut table, slot) = with_idle(1);
    assert_eq!(table.acquire(at(0)), Some(slot));
    table.returning(slot);
    let waiter = table.wait(at(0));
    assert_eq!(table.starts_wanted(at(0)), 0);
    assert_eq!(table.release(slot, true, RUN, at(1)), Released::Serve(waiter));
    table.wait(at(0));
    assert_eq!(table.starts_wanted(at(0)), 1);
}

#[test]
fn a_retired_instance_no_longer_covers_the_waiter_of_its_returning_lease() {
    let (mut table, slot) = with_idle(1);
    table.acquire(at(0));
    table.returning(slot);
    table.wait(at(0));
    assert!(!table.retire(slot));
    assert_eq!(table.starts_wanted(at(0)), 1);
    assert_eq!(table.release(slot, true, RUN, at(1)), Released::Stop);
    table.ended(slot);
    assert_eq!(table.starts_wanted(at(0)), 1);
}

#[test]
fn the_request_that_a_start_was_begun_for_gets_its_first_lease() {
    let mut table = new_table(2);
    let waiters = queue(&mut table, 4);
    let (first, second) = (table.begin_start(), table.begin_start());
    assert_eq!((first, second), (Some(waiters[0]), Some(waiters[1])));
    assert_eq!(table.started(second, Age::Current, Duration::ZERO, at(0)).granted, [waiters[1], waiters[0]]);
    assert_eq!(table.started(first, Age::Current, Duration::ZERO, at(0)).granted, [waiters[2], waiters[3]]);
}

#[test]
fn a_failed_start_fails_those_it_would_have_served_and_no_others() {
    let mut table = new_table(1);
    let waiters = queue(&mut table, 3);
    let starts: Vec<WaiterId> = (0..3).map(|_| table.begin_start().expect("waiters")).collect();
    assert_eq!(table.start_failed(starts[1], Age::Current), [waiters[1]]);
    assert_eq!(table.started(Some(starts[0]), Age::Current, Duration::ZERO, at(0)).granted, [waiters[0]]);
    assert_eq!(table.start_failed(starts[2], Age::Current), [waiters[2]]);
}

#[test]
fn the_last_failed_start_fails_all_who_have_nothing_else_to_wait_for() {
    let mut table = new_table(1);
    let first = table.wait(at(0));
    assert_eq!(table.begin_start(), Some(first));
    // Refused by admission: they wait without starts of their own.
    let others = queue(&mut table, 3);
    assert_eq!(table.start_failed(first, Age::Current), [&[first], &others[..]].concat());
}

#[test]
fn a_failed_start_leaves_those_who_wait_for_a_running_instance() {
    let (mut table, slot) = with_idle(1);
    table.acquire(at(0));
    let first = table.wait(at(0));
    assert_eq!(table.begin_start(), Some(first));
    let second = table.wait(at(0));
    assert_eq!(table.start_failed(first, Age::Current), [first]);
    assert_eq!(table.release(slot, false, RUN, at(1)), Released::Serve(second));
}

#[test]
fn the_instance_used_last_is_used_first_and_the_others_expire() {
    let mut table = new_table(1);
    queue(&mut table, 2);
    let (a, b) = (table.begin_start(), table.begin_start());
    let (a, b) = (
        table.started(a, Age::Current, Duration::ZERO, at(0)).slot,
        table.started(b, Age::Current, Duration::ZERO, at(0)).slot,
    );
    assert_eq!(table.release(a, false, RUN, at(10)), Released::Kept);
    assert_eq!(table.release(b, false, RUN, at(11)), Released::Kept);
    assert_eq!(table.acquire(at(12)), Some(b));
    assert_eq!(table.release(b, false, RUN, at(65)), Released::Kept);
    assert_eq!(table.expire(at(69), 0), NONE);
    assert_eq!(table.expire(at(70), 0), [a]);
    assert_eq!(table.expire(at(200), 0), [b]);
    assert_eq!(table.acquire(at(300)), None);
}

#[test]
fn an_idle_instance_is_frozen_once_and_a_request_thaws_it() {
    let (mut table, slot) = with_idle(2);
    let after = Duration::from_secs(5);
    assert_eq!(table.freeze(at(4), after), NONE);
    assert_eq!(table.next_change(at(4), Some(after), 0), Some(at(2)), "it is over the least time");
    assert_eq!(table.next_change(at(4), Some(after), 1), Some(at(5)), "it is provisioned");
    assert_eq!(table.freeze(at(5), after), [slot]);
    assert!(table.is_freezing(slot));
    assert_eq!(table.next_change(at(5), Some(after), 1), None);
    assert_eq!(table.freeze(at(6), after), NONE, "it is frozen already");
    assert_eq!(table.acquire(at(6)), Some(slot));
    assert!(!table.is_freezing(slot));
    assert_eq!(table.freeze(at(60), after), NONE, "it has a request");
    assert_eq!(table.release(slot, false, RUN, at(60)), Released::Kept);
    assert_eq!(table.freeze(at(64), after), NONE);
    assert_eq!(table.freeze(at(65), after), [slot]);
    assert_eq!(table.next_change(at(65), Some(after), 0), Some(at(120)), "a minute after its last request");
    assert_eq!(table.expire(at(120), 0), [slot], "it ends frozen");
}

#[test]
fn patience_ends_only_for_those_for_whom_nothing_is_on_its_way() {
    let mut table = new_table(1);
    let (first, second) = (table.wait(at(0)), table.wait(at(0)));
    let start = table.begin_start();
    assert_eq!(table.give_up(first), GiveUp::Covered);
    assert_eq!(table.give_up(second), GiveUp::Removed);
    assert_eq!(table.started(start, Age::Current, Duration::ZERO, at(0)).granted, [first]);
    assert_eq!(table.give_up(first), GiveUp::Answered);
}

#[test]
fn a_draining_version_ends_its_instances_as_their_leases_return() {
    let (mut table, busy) = with_idle(1);
    table.acquire(at(0));
    let waiter = table.wait(at(0));
    let start = table.begin_start();
    assert_eq!(table.drain(), (vec![], vec![waiter]));
    assert_eq!(table.phase(), Phase::Draining);
    let late = table.started(start, Age::Current, Duration::ZERO, at(0));
    assert!(late.end && late.granted.is_empty());
    assert_eq!(table.release(busy, false, RUN, at(1)), Released::Stop);
    assert!(!table.close_if_empty());
    assert!(table.ended(busy) && table.ended(late.slot));
    assert!(table.close_if_empty());
    assert_eq!(table.phase(), Phase::Closed);
}

#[test]
fn an_instance_that_ended_while_leased_is_forgotten_when_its_last_lease_returns() {
    let (mut table, slot) = with_idle(2);
    table.acquire(at(0));
    table.acquire(at(0));
    assert!(!table.ended(slot), "it has leases");
    assert!(!table.is_live(slot));
    assert_eq!(table.release(slot, false, RUN, at(1)), Released::Kept);
    assert_eq!(table.release(slot, false, RUN, at(1)), Released::Gone);
    assert!(table.is_empty());
}

#[test]
fn an_outdated_start_serves_the_request_that_it_was_begun_for_and_the_others_have_another() {
    let mut table = new_table(2);
    let waiters = queue(&mut table, 2);
    let start = table.begin_start();
    assert_eq!(table.starts_wanted(at(0)), 0, "it is for both");
    assert_eq!(table.restart(), NONE);
    assert_eq!(table.give_up(waiters[0]), GiveUp::Covered);
    let late = table.wait(at(0));
    assert_eq!(table.starts_wanted(at(0)), 1);
    let other = table.begin_start();
    assert_eq!(other, Some(waiters[1]));
    let old = table.started(start, Age::Outdated, RUN, at(1));
    assert_eq!((old.granted, old.end), (vec![waiters[0]], false));
    assert_eq!(table.acquire(at(1)), None, "it is for nothing else");
    assert_eq!(table.release(old.slot, false, RUN, at(2)), Released::Stop);
    assert_eq!(table.started(other, Age::Current, RUN, at(2)).granted, [waiters[1], late]);
}

#[test]
fn no_request_fails_with_an_outdated_start_nor_waits_for_one() {
    let mut table = new_table(1);
    let waiter = table.wait(at(0));
    let start = table.begin_start();
    table.begin_prewarm();
    table.restart();
    assert_eq!(table.starts(), 2);
    let prewarmed = table.started(None, Age::Outdated, RUN, at(1));
    assert!(prewarmed.granted.is_empty() && prewarmed.end, "it serves nothing");
    assert_eq!(table.start_failed(waiter, Age::Outdated), []);
    assert_eq!((table.starts_wanted(at(1)), table.begin_start()), (1, start), "it gets another");
    assert_eq!(table.start_failed(waiter, Age::Current), [waiter]);
}

/// What happens to a table; numbers pick one of what there is.
#[derive(Debug, Clone)]
enum Event {
    Request,
    Cancel(usize),
    GiveUp(usize),
    StartDone(usize),
    StartFailed(usize),
    Returning(usize),
    Release(usize),
    Recycle(usize),
    End(usize),
    Expire,
    Freeze,
    Restart,
    Drain,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pick = 0usize..8;
    let event = prop_oneof![
        8 => Just(Event::Request),
        1 => pick.clone().prop_map(Event::Cancel),
        1 => pick.clone().prop_map(Event::GiveUp),
        4 => pick.clone().prop_map(Event::StartDone),
        2 => pick.clone().prop_map(Event::StartFailed),
        2 => pick.clone().prop_map(Event::Returning),
        6 => pick.clone().prop_map(Event::Release),
        1 => pick.clone().prop_map(Event::Recycle),
        1 => pick.prop_map(Event::End),
        1 => Just(Event::Expire),
        2 => Just(Event::Freeze),
        1 => Just(Event::Restart),
    ];
    (proptest::collection::vec(event, 0..120), any::<bool>()).prop_map(|(mut events, drain)| {
        if drain {
            events.push(Event::Drain);
        }
        events
    })
}

/// Plays the pool around a table, and checks what must always hold.
struct Play {
    table: Table,
    concurrency: u32,
    starts_max: usize,
    now: u64,
    waiting: Vec<WaiterId>,
    /// Each with the restarts before it.
    starts: Vec<(WaiterId, u64)>,
    restarts: u64,
    /// The restarts before a request came, and before the start of a slot's instance.
    came: HashMap<WaiterId, u64>,
    began: HashMap<SlotIndex, u64>,
    /// Slot and whether its return was announced.
    leases: Vec<(SlotIndex, bool)>,
    live: Vec<SlotIndex>,
    answered: HashSet<WaiterId>,
}

impl Play {
    fn new(concurrency: u32, starts_max: usize) -> Self {
        Self {
            table: new_table(concurrency),
            concurrency,
            starts_max,
            now: 0,
            waiting: Vec::new(),
            starts: Vec::new(),
            restarts: 0,
            came: HashMap::new(),
            began: HashMap::new(),
            leases: Vec::new(),
            live: Vec::new(),
            answered: HashSet::new(),
        }
    }

    fn answer(&mut self, waiter: WaiterId) {
        assert!(self.answered.insert(waiter), "{waiter:?} was answered twice");
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != waiter);
        assert_eq!(self.waiting.len() + 1, before, "{waiter:?} did not wait");
    }

    fn begin_starts(&mut self) {
        for _ in 0..self.table.starts_wanted(at(self.now)) {
            // The limit of instances, as admission would have it.
            if self.starts.len() + self.live.len() >= self.starts_max {
                break;
            }
            self.starts.push((self.table.begin_start().expect("wanted"), self.restarts));
        }
    }

    fn apply(&mut self, event: &Event) {
        self.now += 1;
        let now = at(self.now);
        match *event {
            Event::Request if self.table.phase() == Phase::Open => self.request(),
            Event::Cancel(n) if n < self.waiting.len() => {
                let waiter = self.waiting[n];
                assert!(self.table.cancel(waiter));
                self.answer(waiter);
            }
            Event::GiveUp(n) if n < self.waiting.len() => {
                let waiter = self.waiting[n];
                if self.table.give_up(waiter) == GiveUp::Removed {
                    self.answer(waiter);
                }
            }
            Event::StartDone(n) if n < self.starts.len() => {
                let (start, restarts) = self.starts.remove(n);
                let started = self.table.started(Some(start), self.age(restarts), 3 * RUN, now);
                self.live.push(started.slot);
                self.began.insert(started.slot, restarts);
                for waiter in started.granted {
                    self.serve(waiter, started.slot);
                }
            }
            Event::StartFailed(n) if n < self.starts.len() => {
                let (start, restarts) = self.starts.remove(n);
                for waiter in self.table.start_failed(start, self.age(restarts)) {
                    self.answer(waiter);
                }
            }
            Event::Returning(n) if n < self.leases.len() && !self.leases[n].1 => {
                self.leases[n].1 = true;
                self.table.returning(self.leases[n].0);
            }
            Event::Release(n) if n < self.leases.len() => self.release(n),
            Event::Recycle(n) if n < self.live.len() => {
                self.table.retire(self.live[n]);
            }
            Event::End(n) if n < self.live.len() => {
                let slot = self.live.remove(n);
                self.table.ended(slot);
            }
            Event::Expire => {
                self.table.expire(now, 0);
            }
            Event::Freeze => {
                for slot in self.table.freeze(now, Duration::from_secs(3)) {
                    assert!(self.leases.iter().all(|(leased, _)| *leased != slot), "a leased instance is to be frozen");
                }
            }
            Event::Restart => {
                self.restarts += 1;
                self.table.restart();
            }
            Event::Drain => {
                for waiter in self.table.drain().1 {
                    self.answer(waiter);
                }
            }
            _ => {}
        }
        self.begin_starts();
        self.check();
    }

    fn request(&mut self) {
        match self.table.acquire(at(self.now)) {
            Some(slot) => {
                assert_eq!(self.began[&slot], self.restarts, "an instance from before the restart took a request");
                self.leases.push((slot, false));
            }
            None => {
                let waiter = self.table.wait(at(self.now));
                self.came.insert(waiter, self.restarts);
                self.waiting.push(waiter);
            }
        }
    }

    fn age(&self, restarts: u64) -> Age {
        if restarts == self.restarts { Age::Current } else { Age::Outdated }
    }

    fn serve(&mut self, waiter: WaiterId, slot: SlotIndex) {
        assert!(self.came[&waiter] <= self.began[&slot], "a request that came after a restart got what is from before");
        self.answer(waiter);
        self.leases.push((slot, false));
    }

    fn release(&mut self, n: usize) {
        let (slot, announced) = self.leases.remove(n);
        if let Released::Serve(waiter) = self.table.release(slot, announced, RUN, at(self.now)) {
            self.serve(waiter, slot);
        }
    }

    fn check(&self) {
        for slot in &self.live {
            let leases = self.leases.iter().filter(|(leased, _)| leased == slot).count();
            assert!(leases <= self.concurrency as usize, "{leases} leases on one instance");
        }
        assert!(self.leases.iter().all(|(slot, _)| !self.table.is_freezing(*slot)), "a leased instance is frozen");
        assert!(self.starts.len() + self.live.len() <= self.starts_max);
        assert_eq!(self.table.queue.len(), self.waiting.len());
        assert!(self.waiting.is_empty() || self.table.free.is_empty(), "one waits beside a free instance");
        if !self.waiting.is_empty() && self.starts.len() + self.live.len() < self.starts_max {
            assert_eq!(self.table.starts_wanted(at(self.now)), 0, "a start that is wanted was not begun");
        }
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let event = if !self.starts.is_empty() {
                Event::StartDone(0)
            } else if !self.leases.is_empty() {
                Event::Release(0)
            } else if !self.live.is_empty() && !self.waiting.is_empty() {
                Event::End(0)
            } else {
                break;
            };
            self.apply(&event);
        }
    }
}

/// A table with so many leased instances, of which it is known that they take ten runs to start.
fn with_busy(instances: usize) -> Table {
    let mut table = new_table(1);
    queue(&mut table, instances);
    for _ in 0..instances {
        let start = table.begin_start();
        table.started(start, Age::Current, 10 * RUN, at(0));
    }
    table.release(0, false, RUN, at(0));
    assert_eq!(table.acquire(at(0)), Some(0));
    table
}

#[test]
fn who_is_served_sooner_by_a_lease_that_returns_has_no_start() {
    let mut table = with_busy(2);
    queue(&mut table, 20);
    assert_eq!(table.starts_wanted(at(0)), 0, "twenty runs in two instances take as long as a start");
    queue(&mut table, 3);
    assert_eq!(table.starts_wanted(at(0)), 3);
}

#[test]
fn where_requests_wait_all_the_time_more_instances_are_started() {
    let mut table = with_busy(2);
    queue(&mut table, 20);
    assert_eq!([0, 5, 10, 20].map(|second| table.starts_wanted(at(second))), [0, 10, 20, 20]);
    // The queue is empty for a moment.
    table.queue.drain();
    table.wait(at(20));
    assert_eq!(table.starts_wanted(at(20)), 0);
}

#[test]
fn without_history_every_waiting_request_has_a_start() {
    let mut table = new_table(1);
    queue(&mut table, 1);
    let start = table.begin_start();
    table.started(start, Age::Current, 10 * RUN, at(0));
    queue(&mut table, 3);
    assert_eq!(table.starts_wanted(at(0)), 3, "nobody knows how long a lease is out");
}

#[test]
fn a_prewarmed_instance_serves_who_waits_by_then_and_its_failure_fails_no_request() {
    let mut table = new_table(1);
    table.begin_prewarm();
    let waiters = queue(&mut table, 2);
    assert_eq!(table.starts_wanted(at(0)), 1, "one of the two has the prewarmed one");
    let started = table.started(None, Age::Current, Duration::ZERO, at(0));
    assert_eq!(started.granted, [waiters[0]]);
    table.begin_prewarm();
    assert_eq!(table.starts_wanted(at(0)), 0);
    table.prewarm_failed(Age::Current);
    assert_eq!(table.starts_wanted(at(0)), 1, "it needs one of its own now");
}

#[test]
fn as_many_idle_instances_stay_as_are_wanted_the_ones_used_last() {
    let mut table = new_table(1);
    let slots = [0, 1, 2].map(|second| {
        table.begin_prewarm();
        table.started(None, Age::Current, Duration::ZERO, at(second)).slot
    });
    assert_eq!(table.open(), 3);
    assert_eq!(table.spare(2).count(), 1);
    assert_eq!(table.expire(at(100), 2), slots[..1]);
    assert_eq!(table.expire(at(1000), 2), NONE);
    assert_eq!(table.expire(at(1000), 0), slots[1..]);
}

proptest! {
    #[test]
    fn whatever_happens_no_instance_is_overloaded_and_every_waiter_is_answered(
        concurrency in 1u32..4,
        starts_max in 1usize..5,
        events in events(),
    ) {
        let mut play = Play::new(concurrency, starts_max);
        for event in &events {
            play.apply(event);
        }
        play.settle();
        prop_assert!(play.waiting.is_empty(), "{:?} still wait", play.waiting);
        for slot in std::mem::take(&mut play.live) {
            play.table.ended(slot);
        }
        prop_assert!(play.table.is_empty());
        prop_assert_eq!(play.table.returning, 0);
    }
}
