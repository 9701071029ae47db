//! Times of timers under clocks that stand still, run, and are set.

use serde_json::{Map, Value};
use types::{AliasMap, FunctionId, FunctionKind, Qualifier, Status, TriggerOptions};

use super::*;
use crate::Config;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const NONE: [i64; 0] = [];
/// 2026-03-02 10:00:00 in UTC+8.
const TEN: i64 = 1_772_416_800_000;

fn agenda(deadline_ms: i64) -> Agenda {
    Agenda::new(Timer::new(&Config::default()), deadline_ms)
}

fn trigger(cron: &str, since_ms: i64) -> Trigger {
    Trigger {
        id: TriggerId::random(),
        kind: KIND.to_owned(),
        name: "t".to_owned(),
        qualifier: Qualifier::LATEST,
        desc: Map::from_iter([("cron".to_owned(), Value::from(cron))]),
        options: TriggerOptions::default(),
        enabled: true,
        custom_argument: String::new(),
        description: String::new(),
        since_ms,
        added_ms: since_ms,
        modified_ms: since_ms,
    }
}

fn key(name: &str) -> FunctionKey {
    FunctionKey { namespace: "default".parse().unwrap(), name: name.parse().unwrap() }
}

fn function(triggers: Vec<Trigger>) -> CatalogFunction {
    let record = FunctionRecord {
        id: FunctionId::random(),
        key: key("hello"),
        kind: FunctionKind::Event,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    };
    CatalogFunction {
        record: Arc::new(record),
        status: Status::Active,
        versions: Default::default(),
        aliases: AliasMap::default(),
        reserved_mb: None,
        provisioned: Default::default(),
        event_invoke: EventInvokeConfig::default(),
        triggers: triggers.into_iter().map(Arc::new).collect(),
    }
}

/// One timer on a function.
fn with(cron: &str, since_ms: i64, now_ms: i64, deadline_ms: i64) -> Agenda {
    let mut agenda = agenda(deadline_ms);
    agenda.set_function(&key("hello"), Some(&function(vec![trigger(cron, since_ms)])), now_ms);
    agenda
}

/// Minutes after ten of the due timers.
fn due(agenda: &mut Agenda, now_ms: i64) -> Vec<i64> {
    agenda.take_due(now_ms).into_iter().map(|tick| (tick.at_ms - TEN) / MINUTE_MS).collect()
}

#[test]
fn each_time_is_due_once() {
    let mut agenda = with("*/5 * * * *", TEN + 1, TEN + 1, HOUR_MS);
    assert_eq!(agenda.next_due_ms(), Some(TEN + 5 * MINUTE_MS));
    assert_eq!(due(&mut agenda, TEN + 5 * MINUTE_MS - 1), NONE);
    assert_eq!(due(&mut agenda, TEN + 5 * MINUTE_MS), [5]);
    assert_eq!(due(&mut agenda, TEN + 5 * MINUTE_MS + 1), NONE);
    assert_eq!(due(&mut agenda, TEN + 10 * MINUTE_MS + 999), [10]);
}

#[test]
fn after_a_down_time_of_any_length_the_last_time_comes_once_and_then_the_grid_goes_on() {
    let day = 24 * HOUR_MS;
    // Created yesterday; the platform was down since; 101 minutes and more were missed.
    let mut agenda = with("* * * * *", TEN - day, TEN + 30_000, HOUR_MS);
    assert_eq!(due(&mut agenda, TEN + 30_000), [0]);
    assert_eq!(due(&mut agenda, TEN + 30_000), NONE);
    assert_eq!(due(&mut agenda, TEN + MINUTE_MS), [1]);
    let mut late = with("0 9 * * *", TEN - day, TEN + 1, HOUR_MS - 1);
    assert_eq!(due(&mut late, TEN + 1), NONE, "it was an hour ago: too late by the deadline");
    assert_eq!(late.next_due_ms(), Some(TEN + 23 * HOUR_MS));
    let mut none = with("* * * * *", TEN - day, TEN + 30_000, 0);
    assert_eq!((due(&mut none, TEN + 30_000), due(&mut none, TEN + MINUTE_MS)), (vec![], vec![1]));
}

#[test]
fn a_schedule_that_was_edited_or_resumed_looks_forward_only() {
    let mut agenda = with("0 9 * * *", TEN - 24 * HOUR_MS, TEN - 2 * HOUR_MS, 24 * HOUR_MS);
    agenda.take_due(TEN - 2 * HOUR_MS);
    // Edited at ten to a time that has passed today.
    let edited = function(vec![trigger("30 9 * * *", TEN)]);
    agenda.set_function(&key("hello"), Some(&edited), TEN + 1);
    assert_eq!(due(&mut agenda, TEN + 1), NONE);
    assert_eq!(agenda.next_due_ms(), Some(TEN + 23 * HOUR_MS + 30 * MINUTE_MS));
}

#[test]
fn another_text_changes_no_time_and_a_paused_timer_has_none() {
    let mut first = trigger("*/5 * * * *", TEN + 1);
    let mut agenda = agenda(HOUR_MS);
    agenda.set_function(&key("hello"), Some(&function(vec![first.clone()])), TEN + 1);
    first.custom_argument = "new".to_owned();
    // The change is processed late: the time before it is not lost.
    agenda.set_function(&key("hello"), Some(&function(vec![first.clone()])), TEN + 5 * MINUTE_MS + 1);
    let ticks = agenda.take_due(TEN + 5 * MINUTE_MS + 1);
    assert_eq!((ticks.len(), ticks[0].trigger.custom_argument.as_str()), (1, "new"));
    first.enabled = false;
    agenda.set_function(&key("hello"), Some(&function(vec![first])), TEN + 6 * MINUTE_MS);
    assert_eq!(due(&mut agenda, TEN + HOUR_MS), NONE);
    assert_eq!(agenda.functions().count(), 0);
    agenda.set_function(&key("hello"), None, TEN);
}

#[test]
fn a_clock_that_is_set_forward_makes_no_burst() {
    let mut agenda = with("*/5 * * * *", TEN + 1, TEN + 1, HOUR_MS);
    assert_eq!(due(&mut agenda, TEN + 3 * HOUR_MS + 1), [180]);
    assert_eq!(due(&mut agenda, TEN + 3 * HOUR_MS + 5 * MINUTE_MS), [185]);
}

#[test]
fn a_clock_that_is_set_back_is_followed_at_once() {
    let mut agenda = with("*/5 * * * *", TEN + 1, TEN + 1, HOUR_MS);
    assert_eq!(due(&mut agenda, TEN + HOUR_MS), [60]);
    agenda.restart_from(TEN - HOUR_MS);
    assert_eq!(agenda.next_due_ms(), Some(TEN - 55 * MINUTE_MS));
    assert_eq!(due(&mut agenda, TEN - 55 * MINUTE_MS), [-55]);
    assert_eq!(due(&mut agenda, TEN - 50 * MINUTE_MS), [-50]);
}

#[test]
fn what_is_out_of_date_does_not_pile_up() {
    let mut agenda = agenda(HOUR_MS);
    for n in 0..10 * STALE_MAX as i64 {
        agenda.set_function(&key("hello"), Some(&function(vec![trigger("0 9 * * *", n)])), TEN);
    }
    assert!(agenda.heap.len() <= 2 * agenda.timers.len() + STALE_MAX, "{}", agenda.heap.len());
    assert_eq!(agenda.timers.len(), 1);
}

#[test]
fn a_look_costs_what_is_due_and_not_what_there_is() {
    let mut agenda = agenda(HOUR_MS);
    for n in 0..1000 {
        let triggers = (0..10).map(|_| trigger("0 0 9 1 1 * *", TEN)).collect();
        agenda.set_function(&key(&format!("f{n}")), Some(&function(triggers)), TEN);
    }
    agenda.set_function(&key("due"), Some(&function(vec![trigger("* * * * * * *", TEN)])), TEN);
    assert_eq!(agenda.take_due(TEN + 1000).len(), 1);
    // Only popped entries have new numbers.
    assert_eq!(agenda.last_number, 10_002);
}
