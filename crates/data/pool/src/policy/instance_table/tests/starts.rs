//! How many starts there are for those who wait, whom each serves, and whom its failure fails.

use super::*;

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
fn patience_ends_only_for_those_for_whom_nothing_is_on_its_way() {
    let mut table = new_table(1);
    let (first, second) = (table.wait(at(0)), table.wait(at(0)));
    let start = table.begin_start();
    assert_eq!(table.give_up(first), GiveUp::Covered);
    assert_eq!(table.give_up(second), GiveUp::Removed);
    assert_eq!(table.started(start, Age::Current, Duration::ZERO, at(0)).granted, [first]);
    assert_eq!(table.give_up(first), GiveUp::Answered);
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
