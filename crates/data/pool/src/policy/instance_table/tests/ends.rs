//! Versions that drain or restart, and instances that end while they have leases.

use super::*;

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
