//! Schedule of polled buckets. Pure: time is passed in as `now`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use formats::hook::{Objects, bucket_of};
use serde_json::Value;
use tokio::time::Instant;
use types::{CatalogFunction, EventInvokeConfig, FunctionMap, FunctionRecord, Trigger, TriggerId};

/// A trigger that polls its bucket.
#[derive(Debug, Clone)]
pub(super) struct Polled {
    /// Its function.
    pub function: Arc<FunctionRecord>,
    /// How events of the function are retried and given up.
    pub event_invoke: EventInvokeConfig,
    /// The trigger.
    pub trigger: Arc<Trigger>,
    /// The objects that it matches.
    pub objects: Arc<Objects>,
}

struct Entry {
    polled: Polled,
    interval: Duration,
    /// `None` during a pass.
    due: Option<Instant>,
}

/// All polling triggers.
#[derive(Default)]
pub(super) struct Agenda(HashMap<TriggerId, Entry>);

impl Agenda {
    /// Updates the triggers of functions; returns removed triggers. New and changed ones are due at
    /// once.
    pub fn follow(&mut self, functions: &FunctionMap, app_id: &str, now: Instant) -> Vec<TriggerId> {
        let (mut found, mut kept) = (HashMap::new(), Vec::new());
        for function in functions.values() {
            for trigger in function.triggers.iter().filter(|trigger| trigger.kind == "cos") {
                // A paused one continues from its mark when it is resumed.
                kept.push(trigger.id.clone());
                let unchanged = self.0.remove(&trigger.id).filter(|entry| Arc::ptr_eq(&entry.polled.trigger, trigger));
                let entry = match unchanged {
                    Some(mut entry) => {
                        entry.polled.function = Arc::clone(&function.record);
                        entry.polled.event_invoke = function.event_invoke;
                        Some(entry)
                    }
                    None => entry(function, trigger, app_id, now),
                };
                found.extend(entry.map(|entry| (trigger.id.clone(), entry)));
            }
        }
        let gone = std::mem::replace(&mut self.0, found).into_keys();
        gone.filter(|id| !kept.contains(id)).collect()
    }

    /// Takes due triggers, up to a maximum; a pass of each begins now.
    pub fn take_due(&mut self, now: Instant, max: usize) -> Vec<Polled> {
        let mut due: Vec<_> = self.0.values_mut().filter(|entry| entry.due.is_some_and(|due| due <= now)).collect();
        due.sort_by_key(|entry| entry.due);
        due.truncate(max);
        let begin = |entry: &mut Entry| {
            entry.due = None;
            entry.polled.clone()
        };
        due.into_iter().map(begin).collect()
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.values().filter_map(|entry| entry.due).min()
    }

    /// Records the end of a pass; returns whether its trigger still exists.
    pub fn ended(&mut self, id: &TriggerId, now: Instant) -> bool {
        let Some(entry) = self.0.get_mut(id) else { return false };
        // A trigger that was changed meanwhile is rescheduled already.
        entry.due.get_or_insert(now + entry.interval);
        true
    }

    /// Records the end of all passes, when it is not known which ended.
    pub fn all_ended(&mut self, now: Instant) {
        for entry in self.0.values_mut() {
            entry.due.get_or_insert(now + entry.interval);
        }
    }
}

fn entry(function: &CatalogFunction, trigger: &Arc<Trigger>, app_id: &str, now: Instant) -> Option<Entry> {
    if !trigger.enabled {
        return None;
    }
    let text = Value::Object(trigger.desc.clone()).to_string();
    let objects = match Objects::parse(&text, &bucket_of(&trigger.name, app_id)) {
        Ok(objects) => objects,
        Err(error) => {
            tracing::error!(trigger = trigger.id.as_str(), %error, "cannot read a trigger");
            return None;
        }
    };
    let interval = Duration::from_secs(objects.poll.as_ref()?.interval_s.into());
    let polled = Polled {
        function: Arc::clone(&function.record),
        event_invoke: function.event_invoke,
        trigger: Arc::clone(trigger),
        objects: Arc::new(objects),
    };
    Some(Entry { polled, interval, due: Some(now) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::{AliasMap, FunctionId, FunctionKey, FunctionKind, Qualifier, Status, TriggerOptions};

    use super::*;

    fn trigger(name: &str, desc: Value) -> Arc<Trigger> {
        let Value::Object(desc) = desc else { panic!("an object") };
        Arc::new(Trigger {
            id: TriggerId::random(),
            kind: "cos".to_owned(),
            name: name.to_owned(),
            qualifier: Qualifier::LATEST,
            desc,
            options: TriggerOptions::default(),
            enabled: true,
            custom_argument: String::new(),
            description: String::new(),
            since_ms: 0,
            added_ms: 0,
            modified_ms: 0,
        })
    }

    fn functions(triggers: &[Arc<Trigger>]) -> FunctionMap {
        let key = FunctionKey { namespace: "default".parse().unwrap(), name: "f1".parse().unwrap() };
        let record = FunctionRecord {
            id: FunctionId::random(),
            key: key.clone(),
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        };
        let function = CatalogFunction {
            record: Arc::new(record),
            status: Status::Active,
            versions: Default::default(),
            aliases: AliasMap::default(),
            reserved_mb: None,
            provisioned: Default::default(),
            event_invoke: Default::default(),
            triggers: triggers.to_vec(),
        };
        [(key, Arc::new(function))].into_iter().collect()
    }

    #[test]
    fn triggers_are_looked_at_one_pass_at_a_time_and_at_their_intervals() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        let polled = trigger("films-1", json!({"Poll": {"Connection": "s", "IntervalSeconds": 10}}));
        let notified = trigger("other", json!({"Secrets": ["0123456789abcdef"]}));
        let all = [polled.clone(), notified];
        assert!(agenda.follow(&functions(&all), "1", now).is_empty());
        let due = agenda.take_due(now, 8);
        assert_eq!(due.iter().map(|polled| polled.objects.bucket.as_str()).collect::<Vec<_>>(), ["films"]);
        let later = now + Duration::from_secs(100);
        assert!(agenda.take_due(later, 8).is_empty(), "a pass goes on");
        assert!(agenda.follow(&functions(&all), "1", later).is_empty());
        assert!(agenda.take_due(later, 8).is_empty(), "also over another change of the catalog");
        assert!(agenda.ended(&polled.id, later));
        assert_eq!(agenda.next_due(), Some(later + Duration::from_secs(10)));
        assert!(agenda.take_due(later + Duration::from_secs(10), 0).is_empty(), "no place for a pass");
        assert_eq!(agenda.take_due(later + Duration::from_secs(10), 8).len(), 1);
        agenda.all_ended(later);
        assert_eq!(agenda.next_due(), Some(later + Duration::from_secs(10)));
    }

    #[test]
    fn what_is_paused_keeps_its_mark_and_what_is_gone_does_not() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        let polled = trigger("films", json!({"Poll": {"Connection": "s"}}));
        agenda.follow(&functions(std::slice::from_ref(&polled)), "1", now);
        let paused = Arc::new(Trigger { enabled: false, ..(*polled).clone() });
        assert!(agenda.follow(&functions(&[paused]), "1", now).is_empty());
        assert!(agenda.take_due(now, 8).is_empty());
        assert!(!agenda.ended(&polled.id, now));
        agenda.follow(&functions(std::slice::from_ref(&polled)), "1", now);
        assert_eq!(agenda.take_due(now, 8).len(), 1);
        assert_eq!(agenda.follow(&functions(&[]), "1", now), std::slice::from_ref(&polled.id));
    }
}
