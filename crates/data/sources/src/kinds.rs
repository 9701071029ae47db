//! The supported kinds of triggers.

use std::collections::BTreeSet;
use std::sync::Arc;

use types::{ApiError, ErrorCode, Installation, Trigger};

use crate::cloudevents::CloudEvents;
use crate::config::Config;
use crate::cos::Cos;
use crate::http::Http;
use crate::rates::Rates;
use crate::source::Source;
use crate::timer::Timer;
use crate::webhook::Webhook;

/// Types of the cloud API that are not supported.
const NOT_BUILT: [&str; 9] = ["ckafka", "cls", "apigw", "cmq", "clb", "mps", "cm", "vod", "eb"];

/// All kinds of triggers; cheap to clone.
#[derive(Clone)]
pub struct Sources(Arc<Inner>);

struct Inner {
    timer: Timer,
    rates: Rates,
    kinds: Vec<Box<dyn Source>>,
    config: Config,
}

impl Sources {
    /// Creates the kinds with these settings.
    pub fn new(config: Config) -> Self {
        Self::with_connections(config, BTreeSet::new(), Installation::default())
    }

    /// Creates the kinds; `connections` are the names of the stores that triggers can poll,
    /// `installation` is the identity in events.
    pub fn with_connections(config: Config, connections: BTreeSet<String>, installation: Installation) -> Self {
        let timer = Timer::new(&config);
        let kinds: Vec<Box<dyn Source>> = vec![
            Box::new(timer.clone()),
            Box::new(Http),
            Box::new(Cos { connections, installation }),
            Box::new(Webhook),
            Box::new(CloudEvents),
        ];
        Self(Arc::new(Inner { timer, rates: Rates::default(), kinds, config }))
    }

    /// Counts one event of a trigger at `now_ms`, Unix milliseconds; `false` when its limit for
    /// this minute is reached and the event must not be created. Tests by its owner are not
    /// counted.
    pub fn admit(&self, trigger: &Trigger, now_ms: i64) -> bool {
        let admitted = self.0.rates.admit(trigger, self.0.config.rate_per_minute_max, now_ms);
        if !admitted {
            metrics::counter!("sampan_trigger_events_refused_total", "type" => trigger.kind.clone()).increment(1);
        }
        admitted
    }

    /// Uncounts one that was admitted but is a duplicate.
    pub(crate) fn give_back(&self, trigger: &Trigger) {
        self.0.rates.give_back(trigger);
    }

    pub(crate) fn timer(&self) -> &Timer {
        &self.0.timer
    }

    /// The limits in force.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The kind of a `Type`; `None` when it is not supported.
    pub fn get(&self, kind: &str) -> Option<&dyn Source> {
        self.0.kinds.iter().find(|source| source.kind() == kind).map(AsRef::as_ref)
    }

    /// The kind that a caller requests.
    ///
    /// # Errors
    /// `UnsupportedOperation.Trigger` for a type that is not supported,
    /// `InvalidParameterValue.Type` for an unknown type.
    pub fn find(&self, kind: &str) -> Result<&dyn Source, ApiError> {
        if let Some(source) = self.get(kind) {
            return Ok(source);
        }
        let built = self.0.kinds.iter().map(|source| source.kind()).collect::<Vec<_>>().join(", ");
        if NOT_BUILT.contains(&kind) {
            let message = format!("Type: triggers of type {kind} are not supported here; there is {built}");
            return Err(ApiError::new(ErrorCode::UNSUPPORTED_TRIGGER, message));
        }
        let kind: String = kind.chars().take(100).collect();
        let message = format!("Type: {kind:?} is no type of triggers; there is {built}");
        Err(ApiError::new(ErrorCode::INVALID_VALUE_TYPE, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_not_built_is_told_from_one_that_is_none() {
        let sources = Sources::new(Config::default());
        assert_eq!(sources.find("timer").unwrap().kind(), "timer");
        let code = |kind: &str| sources.find(kind).err().expect("not there").code.name;
        assert_eq!(code("ckafka"), "UnsupportedOperation.Trigger");
        assert_eq!(code("Timer"), "InvalidParameterValue.Type");
        assert!(NOT_BUILT.iter().all(|kind| sources.get(kind).is_none()));
    }
}
