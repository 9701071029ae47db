//! Tables and properties of the ledger.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

type Book = Ledger<u32, u32>;

const RUN: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    // Instants have no zero; all tests count from the first one that is asked for.
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ZERO.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

fn new_book(concurrency: u32) -> Book {
    let s = Duration::from_secs;
    Book::new(concurrency, Worth { cold_start: s(60), keep_min: s(2), keep_max: s(600) })
}

fn queue(book: &mut Book, requests: impl Iterator<Item = u32>) {
    for who in requests {
        book.wait(who, at(0));
    }
}

/// A book with one started instance, leased to nobody.
fn with_idle(concurrency: u32) -> (Book, SlotIndex) {
    let mut book = new_book(concurrency);
    let waiter = book.wait(0, at(0));
    let (trigger, _) = book.begin_start().expect("someone waits");
    assert!(book.cancel(waiter));
    let started = book.started(100, trigger, Duration::ZERO, at(0));
    assert_eq!(started, Started { slot: started.slot, granted: vec![], end: false });
    let slot = started.slot;
    (book, slot)
}

#[test]
fn a_start_covers_as_many_waiters_as_the_instance_will_serve() {
    for (concurrency, waiters, wanted) in [(1, 0, 0), (1, 3, 3), (2, 1, 1), (2, 4, 2), (2, 5, 3), (100, 100, 1)] {
        let mut book = new_book(concurrency);
        queue(&mut book, 0..waiters);
        assert_eq!(book.starts_wanted(at(0)), wanted, "{waiters} waiters at {concurrency}");
        for _ in 0..wanted {
            assert!(book.begin_start().is_some());
        }
        assert_eq!(book.starts_wanted(at(0)), 0);
    }
}

#[test]
fn a_returning_lease_keeps_a_waiter_from_starting_an_instance() {
    let (mut book, slot) = with_idle(1);
    assert_eq!(book.acquire(at(0)), Some((slot, 100)));
    book.returning(slot);
    book.wait(7, at(0));
    assert_eq!(book.starts_wanted(at(0)), 0);
    assert_eq!(book.release(slot, true, RUN, at(1)), Released::Granted(7, 100));
    book.wait(8, at(0));
    assert_eq!(book.starts_wanted(at(0)), 1);
}

#[test]
fn a_retired_instance_no_longer_covers_the_waiter_of_its_returning_lease() {
    let (mut book, slot) = with_idle(1);
    book.acquire(at(0));
    book.returning(slot);
    book.wait(7, at(0));
    assert_eq!(book.retire(slot), None);
    assert_eq!(book.starts_wanted(at(0)), 1);
    assert_eq!(book.release(slot, true, RUN, at(1)), Released::End(100));
    book.ended(slot);
    assert_eq!(book.starts_wanted(at(0)), 1);
}

#[test]
fn the_request_that_a_start_was_begun_for_gets_its_first_lease() {
    let mut book = new_book(2);
    queue(&mut book, 1..=4);
    let (first, who) = book.begin_start().expect("waiters");
    assert_eq!(*who, 1);
    let (second, who) = book.begin_start().expect("waiters");
    assert_eq!(*who, 2);
    assert_eq!(book.started(100, second, Duration::ZERO, at(0)).granted, vec![2, 1]);
    assert_eq!(book.started(101, first, Duration::ZERO, at(0)).granted, vec![3, 4]);
}

#[test]
fn a_failed_start_fails_those_it_would_have_served_and_no_others() {
    let mut book = new_book(1);
    queue(&mut book, 1..=3);
    let triggers: Vec<WaiterId> = (0..3).map(|_| book.begin_start().expect("waiters").0).collect();
    assert_eq!(book.start_failed(triggers[1]), vec![2]);
    assert_eq!(book.started(100, triggers[0], Duration::ZERO, at(0)).granted, vec![1]);
    assert_eq!(book.start_failed(triggers[2]), vec![3]);
}

#[test]
fn the_last_failed_start_fails_all_who_have_nothing_else_to_wait_for() {
    let mut book = new_book(1);
    let trigger = {
        book.wait(1, at(0));
        book.begin_start().expect("a waiter").0
    };
    // Refused for want of capacity: they wait without starts of their own.
    queue(&mut book, 2..=4);
    assert_eq!(book.start_failed(trigger), vec![1, 2, 3, 4]);
}

#[test]
fn a_failed_start_leaves_those_who_wait_for_a_running_instance() {
    let (mut book, slot) = with_idle(1);
    book.acquire(at(0));
    book.wait(1, at(0));
    let trigger = book.begin_start().expect("a waiter").0;
    book.wait(2, at(0));
    assert_eq!(book.start_failed(trigger), vec![1]);
    assert_eq!(book.release(slot, false, RUN, at(1)), Released::Granted(2, 100));
}

#[test]
fn the_instance_used_last_is_used_first_and_the_others_expire() {
    let mut book = new_book(1);
    queue(&mut book, 1..=2);
    let (a, b) = (book.begin_start().expect("waiter").0, book.begin_start().expect("waiter").0);
    let (a, b) = (book.started(100, a, Duration::ZERO, at(0)).slot, book.started(101, b, Duration::ZERO, at(0)).slot);
    assert_eq!(book.release(a, false, RUN, at(10)), Released::Kept);
    assert_eq!(book.release(b, false, RUN, at(11)), Released::Kept);
    assert_eq!(book.acquire(at(12)), Some((b, 101)));
    assert_eq!(book.release(b, false, RUN, at(65)), Released::Kept);
    assert_eq!(book.expire(at(69), 0), Vec::<u32>::new());
    assert_eq!(book.expire(at(70), 0), vec![100]);
    assert_eq!(book.expire(at(200), 0), vec![101]);
    assert_eq!(book.acquire(at(300)), None);
}

#[test]
fn an_idle_instance_is_sent_to_rest_once_and_a_request_ends_its_rest() {
    let (mut book, slot) = with_idle(2);
    let after = Duration::from_secs(5);
    assert_eq!(book.rest(at(4), after), vec![]);
    assert_eq!(book.rest(at(5), after), vec![(slot, 100)]);
    assert!(book.rests(slot));
    assert_eq!(book.rest(at(6), after), vec![], "it rests already");
    assert_eq!(book.acquire(at(6)), Some((slot, 100)));
    assert!(!book.rests(slot));
    assert_eq!(book.rest(at(60), after), vec![], "it has a request");
    assert_eq!(book.release(slot, false, RUN, at(60)), Released::Kept);
    assert_eq!(book.rest(at(64), after), vec![]);
    assert_eq!(book.rest(at(65), after), vec![(slot, 100)]);
    assert_eq!(book.expire(at(120), 0), vec![100], "it ends in its sleep");
}

#[test]
fn patience_ends_only_for_those_for_whom_nothing_is_on_its_way() {
    let mut book = new_book(1);
    let (first, second) = (book.wait(1, at(0)), book.wait(2, at(0)));
    let trigger = book.begin_start().expect("waiters").0;
    assert_eq!(book.give_up(first), Patience::Covered);
    assert_eq!(book.give_up(second), Patience::Removed);
    assert_eq!(book.started(100, trigger, Duration::ZERO, at(0)).granted, vec![1]);
    assert_eq!(book.give_up(first), Patience::Answered);
}

#[test]
fn a_draining_version_ends_its_instances_as_their_leases_return() {
    let (mut book, busy) = with_idle(1);
    book.acquire(at(0));
    book.wait(1, at(0));
    let trigger = book.begin_start().expect("waiter").0;
    assert_eq!(book.drain(), (vec![], vec![1]));
    assert_eq!(book.phase(), Phase::Draining);
    let late = book.started(101, trigger, Duration::ZERO, at(0));
    assert!(late.end && late.granted.is_empty());
    assert_eq!(book.release(busy, false, RUN, at(1)), Released::End(100));
    assert!(!book.close_if_empty());
    book.ended(busy);
    book.ended(late.slot);
    assert!(book.close_if_empty());
    assert_eq!(book.phase(), Phase::Closed);
}

#[test]
fn an_instance_that_ended_while_leased_is_forgotten_when_its_last_lease_returns() {
    let (mut book, slot) = with_idle(2);
    book.acquire(at(0));
    book.acquire(at(0));
    book.ended(slot);
    assert_eq!(book.instances().count(), 0);
    assert_eq!(book.release(slot, false, RUN, at(1)), Released::Kept);
    assert_eq!(book.release(slot, false, RUN, at(1)), Released::Gone);
    assert!(book.is_empty());
}

/// What happens to a book; numbers pick one of what there is.
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
    Rest,
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
        2 => Just(Event::Rest),
    ];
    (proptest::collection::vec(event, 0..120), any::<bool>()).prop_map(|(mut events, drain)| {
        if drain {
            events.push(Event::Drain);
        }
        events
    })
}

/// Plays the pool around a book, and checks what must always hold.
struct Play {
    book: Book,
    concurrency: u32,
    starts_max: usize,
    now: u64,
    next: u32,
    waiting: Vec<(WaiterId, u32)>,
    starts: Vec<WaiterId>,
    /// Slot and whether its return was announced.
    leases: Vec<(SlotIndex, bool)>,
    live: Vec<(SlotIndex, u32)>,
    answered: HashSet<u32>,
}

impl Play {
    fn new(concurrency: u32, starts_max: usize) -> Self {
        Self {
            book: new_book(concurrency),
            concurrency,
            starts_max,
            now: 0,
            next: 0,
            waiting: Vec::new(),
            starts: Vec::new(),
            leases: Vec::new(),
            live: Vec::new(),
            answered: HashSet::new(),
        }
    }

    fn answer(&mut self, who: u32) {
        assert!(self.answered.insert(who), "{who} was answered twice");
        let before = self.waiting.len();
        self.waiting.retain(|(_, waiter)| *waiter != who);
        assert_eq!(self.waiting.len() + 1, before, "{who} did not wait");
    }

    fn begin_starts(&mut self) {
        for _ in 0..self.book.starts_wanted(at(self.now)) {
            // The limit of instances, as the capacity would have it.
            if self.starts.len() + self.live.len() >= self.starts_max {
                break;
            }
            self.starts.push(self.book.begin_start().expect("wanted").0);
        }
    }

    fn apply(&mut self, event: &Event) {
        self.now += 1;
        let now = at(self.now);
        match *event {
            Event::Request if self.book.phase() == Phase::Open => self.request(),
            Event::Cancel(n) if n < self.waiting.len() => {
                let (id, who) = self.waiting[n];
                assert!(self.book.cancel(id));
                self.answer(who);
            }
            Event::GiveUp(n) if n < self.waiting.len() => {
                let (id, who) = self.waiting[n];
                if self.book.give_up(id) == Patience::Removed {
                    self.answer(who);
                }
            }
            Event::StartDone(n) if n < self.starts.len() => {
                let trigger = self.starts.remove(n);
                self.next += 1;
                let started = self.book.started(self.next, trigger, 3 * RUN, now);
                self.live.push((started.slot, self.next));
                for who in started.granted {
                    self.answer(who);
                    self.leases.push((started.slot, false));
                }
            }
            Event::StartFailed(n) if n < self.starts.len() => {
                let trigger = self.starts.remove(n);
                for who in self.book.start_failed(trigger) {
                    self.answer(who);
                }
            }
            Event::Returning(n) if n < self.leases.len() && !self.leases[n].1 => {
                self.leases[n].1 = true;
                self.book.returning(self.leases[n].0);
            }
            Event::Release(n) if n < self.leases.len() => self.release(n),
            Event::Recycle(n) if n < self.live.len() => {
                self.book.retire(self.live[n].0);
            }
            Event::End(n) if n < self.live.len() => {
                let (slot, _) = self.live.remove(n);
                self.book.ended(slot);
            }
            Event::Expire => {
                self.book.expire(now, 0);
            }
            Event::Rest => {
                for (slot, _) in self.book.rest(now, Duration::from_secs(3)) {
                    assert!(self.leases.iter().all(|(leased, _)| *leased != slot), "a leased instance is to be frozen");
                }
            }
            Event::Drain => {
                for who in self.book.drain().1 {
                    self.answer(who);
                }
            }
            _ => {}
        }
        self.begin_starts();
        self.check();
    }

    fn request(&mut self) {
        match self.book.acquire(at(self.now)) {
            Some((slot, _)) => self.leases.push((slot, false)),
            None => {
                self.next += 1;
                let id = self.book.wait(self.next, at(self.now));
                self.waiting.push((id, self.next));
            }
        }
    }

    fn release(&mut self, n: usize) {
        let (slot, announced) = self.leases.remove(n);
        if let Released::Granted(who, _) = self.book.release(slot, announced, RUN, at(self.now)) {
            self.answer(who);
            self.leases.push((slot, false));
        }
    }

    fn check(&self) {
        for (slot, _) in &self.live {
            let leases = self.leases.iter().filter(|(leased, _)| leased == slot).count();
            assert!(leases <= self.concurrency as usize, "{leases} leases on one instance");
        }
        assert!(self.leases.iter().all(|(slot, _)| !self.book.rests(*slot)), "a leased instance rests");
        assert!(self.starts.len() + self.live.len() <= self.starts_max);
        assert_eq!(self.book.queue.len(), self.waiting.len());
        assert!(self.waiting.is_empty() || self.book.free.is_empty(), "someone waits beside a free instance");
        if !self.waiting.is_empty() && self.starts.len() + self.live.len() < self.starts_max {
            assert_eq!(self.book.starts_wanted(at(self.now)), 0, "a start that is wanted was not begun");
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

/// A book with so many leased instances, of which it is known that they take ten runs to start.
fn with_busy(instances: u32) -> Book {
    let mut book = new_book(1);
    queue(&mut book, 0..instances);
    for instance in 0..instances {
        let trigger = book.begin_start().expect("a waiter").0;
        book.started(100 + instance, trigger, 10 * RUN, at(0));
    }
    let (slot, _) = (0, book.release(0, false, RUN, at(0)));
    assert_eq!(book.acquire(at(0)), Some((slot, 100)));
    book
}

#[test]
fn who_is_served_sooner_by_a_lease_that_returns_has_no_start() {
    let mut book = with_busy(2);
    queue(&mut book, 0..20);
    assert_eq!(book.starts_wanted(at(0)), 0, "twenty runs in two instances take as long as a start");
    queue(&mut book, 20..23);
    assert_eq!(book.starts_wanted(at(0)), 3);
}

#[test]
fn where_somebody_waits_all_the_time_more_instances_are_started() {
    let mut book = with_busy(2);
    queue(&mut book, 0..20);
    assert_eq!([0, 5, 10, 20].map(|second| book.starts_wanted(at(second))), [0, 10, 20, 20]);
    // The queue is empty for a moment.
    book.queue.drain();
    book.wait(99, at(20));
    assert_eq!(book.starts_wanted(at(20)), 0);
}

#[test]
fn without_experience_everyone_who_waits_has_a_start() {
    let mut book = new_book(1);
    queue(&mut book, 0..1);
    let trigger = book.begin_start().expect("a waiter").0;
    book.started(100, trigger, 10 * RUN, at(0));
    queue(&mut book, 1..4);
    assert_eq!(book.starts_wanted(at(0)), 3, "nobody knows how long a lease is out");
}

#[test]
fn a_start_ahead_serves_who_waits_by_then_and_its_failure_is_nobodys() {
    let mut book = new_book(1);
    book.begin_ahead();
    queue(&mut book, [7, 8].into_iter());
    assert_eq!(book.starts_wanted(at(0)), 1, "one of the two has the start ahead");
    let started = book.started(100, WaiterId::NOBODY, Duration::ZERO, at(0));
    assert_eq!(started.granted, [7]);
    book.begin_ahead();
    assert_eq!(book.starts_wanted(at(0)), 0);
    book.ahead_failed();
    assert_eq!(book.starts_wanted(at(0)), 1, "it needs one of its own now");
}

#[test]
fn as_many_idle_instances_stay_as_are_wanted_the_ones_used_last() {
    let mut book = new_book(1);
    for (instance, second) in [(100, 0), (101, 1), (102, 2)] {
        book.begin_ahead();
        book.started(instance, WaiterId::NOBODY, Duration::ZERO, at(second));
    }
    assert_eq!(book.open(), 3);
    assert_eq!(book.spare(2).count(), 1);
    assert_eq!(book.expire(at(100), 2), [100]);
    assert_eq!(book.expire(at(1000), 2), Vec::<u32>::new());
    assert_eq!(book.expire(at(1000), 0), [101, 102]);
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
        for (slot, _) in std::mem::take(&mut play.live) {
            play.book.ended(slot);
        }
        prop_assert!(play.book.is_empty());
        prop_assert_eq!(play.book.returning, 0);
    }
}
