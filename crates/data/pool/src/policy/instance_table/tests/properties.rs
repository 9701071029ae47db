//! Whatever happens to a table: the pool around it is played by random events.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

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
