//! Idle instances: which is used first, frozen, ended, or stays.

use super::*;

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
