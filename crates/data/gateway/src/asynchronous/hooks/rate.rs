//! Rate limit of each trigger, in events per minute: stops a trigger that causes its own events.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use types::{Trigger, TriggerId};

use super::error::HookError;

const MINUTE: Duration = Duration::from_secs(60);
/// Number of triggers at which those of past minutes are removed.
const TRIGGERS_KEPT: usize = 1024;

/// The current minute of each trigger: its beginning, and the count.
#[derive(Debug, Default)]
pub struct TriggerRates(Mutex<HashMap<TriggerId, (Instant, usize)>>);

impl TriggerRates {
    /// Admits events, all or none, or returns the time until they fit. `max` is the limit of all
    /// triggers; one may have a lower one of its own.
    pub fn admit(&self, trigger: &Trigger, max: u32, events: usize, now: Instant) -> Result<(), HookError> {
        let max = trigger.options.rate_per_minute.map_or(max, |own| own.min(max));
        let mut minutes = self.0.lock();
        if minutes.len() >= TRIGGERS_KEPT {
            minutes.retain(|_, (since, _)| now.saturating_duration_since(*since) < MINUTE);
        }
        let (since, count) = minutes.entry(trigger.id.clone()).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        // Otherwise a request with more events than the limit could never be admitted.
        if *count > 0 && *count + events > max as usize {
            metrics::counter!("sampan_trigger_events_refused_total", "type" => trigger.kind.clone()).increment(1);
            let left = MINUTE.saturating_sub(now.saturating_duration_since(*since));
            return Err(HookError::Rate { max, wait_s: left.as_secs() + 1 });
        }
        *count += events;
        Ok(())
    }

    /// Returns the count of events that were duplicates: senders repeat requests that were not
    /// answered.
    pub fn give_back(&self, trigger: &Trigger, events: usize) {
        if let Some((_, count)) = self.0.lock().get_mut(&trigger.id) {
            *count = count.saturating_sub(events);
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
            kind: "webhook".to_owned(),
            name: "hook".to_owned(),
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
    fn a_trigger_has_its_own_minute() {
        let (rates, now) = (TriggerRates::default(), Instant::now());
        let (bounded, other, free) = (trigger(Some(3)), trigger(Some(3)), trigger(None));
        let admit = |trigger: &Trigger, events, now| rates.admit(trigger, 1000, events, now);
        assert!(admit(&bounded, 2, now).is_ok());
        let over = admit(&bounded, 2, now + Duration::from_secs(20)).expect_err("over");
        assert!(matches!(over, HookError::Rate { max: 3, wait_s: 41 }), "{over:?}");
        assert!(admit(&bounded, 1, now).is_ok());
        assert!(admit(&other, 5, now).is_ok(), "a request is never cut in two");
        assert!(admit(&other, 1, now).is_err());
        assert!(admit(&free, 1000, now).is_ok());
        assert!(matches!(admit(&free, 1, now), Err(HookError::Rate { max: 1000, .. })));
        assert!(admit(&bounded, 3, now + MINUTE).is_ok());
        rates.give_back(&bounded, 2);
        assert!(admit(&bounded, 2, now + MINUTE).is_ok(), "repetitions leave their room");
        assert!(admit(&bounded, 1, now + MINUTE).is_err());
    }
}
