//! Rate limit of each trigger's events per minute: a limit that the trigger may set, and one for
//! all. It stops functions that trigger themselves.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use types::{Trigger, TriggerId};

const MINUTE_MS: i64 = 60_000;
/// Number of triggers of earlier minutes at which they are removed.
const STALE_MAX: usize = 1024;

/// Events of the current minute, by trigger.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    minute: i64,
    made: HashMap<TriggerId, u32>,
}

impl Rates {
    /// Counts one event; `false` when the trigger's limit for this minute is reached.
    pub(crate) fn admit(&self, trigger: &Trigger, per_minute_max: u32, now_ms: i64) -> bool {
        let max = trigger.options.rate_per_minute.unwrap_or(per_minute_max);
        let minute = now_ms.div_euclid(MINUTE_MS);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.minute != minute {
            state.minute = minute;
            state.made.clear();
            state.made.shrink_to(STALE_MAX);
        }
        let made = match state.made.get_mut(&trigger.id) {
            Some(made) => made,
            None => state.made.entry(trigger.id.clone()).or_default(),
        };
        *made = made.saturating_add(1);
        if *made == max.saturating_add(1) {
            tracing::warn!(trigger = trigger.name, id = %trigger.id, max, "a trigger exceeded its rate per minute");
        }
        *made <= max
    }

    /// Uncounts a duplicate.
    pub(crate) fn give_back(&self, trigger: &Trigger) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = state.made.get_mut(&trigger.id) {
            *made = made.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::{Qualifier, TriggerOptions};

    use super::*;

    fn trigger(rate_per_minute: Option<u32>) -> Trigger {
        Trigger {
            id: TriggerId::random(),
            kind: "timer".to_owned(),
            name: "t".to_owned(),
            qualifier: Qualifier::LATEST,
            desc: serde_json::Map::new(),
            options: TriggerOptions { rate_per_minute, ..TriggerOptions::default() },
            enabled: true,
            custom_argument: String::new(),
            description: String::new(),
            since_ms: 0,
            added_ms: 0,
            modified_ms: 0,
        }
    }

    #[test]
    fn a_trigger_makes_so_many_events_in_a_minute_and_others_are_not_touched() {
        let (rates, two, other) = (Rates::default(), trigger(Some(2)), trigger(None));
        let made = |of: &Trigger, now_ms: i64| (0..5).filter(|_| rates.admit(of, 4, now_ms)).count();
        assert_eq!((made(&two, 59_999), made(&other, 59_999)), (2, 4));
        assert_eq!((made(&two, 60_000), made(&other, 60_000)), (2, 4));
        assert_eq!(made(&two, 60_001), 0);
        assert_eq!(rates.0.lock().unwrap().made.len(), 2);
        let third = trigger(Some(1));
        for _ in 0..3 {
            assert!(rates.admit(&third, 4, 60_001), "a repetition leaves its room");
            rates.give_back(&third);
        }
        assert_eq!(made(&two, 1), 2, "a clock that is set back begins another minute");
    }
}
