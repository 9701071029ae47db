//! The number of provisioned instances wanted now: fixed, by a scheduled action, or by target
//! tracking of use.

use std::sync::Arc;
use std::time::Duration;

use schedule::Schedule;
use tokio::time::Instant;
use types::{ProvisionedSpec, Tracking};

/// Interval at which usage is sampled (contract 4.8).
const GROW_EVERY: Duration = Duration::from_secs(10);
/// Window in which the number is lowered at most once (contract 4.8).
const SHRINK_WINDOW: Duration = Duration::from_secs(600);

/// The wanted number and the observations; see the module.
#[derive(Debug)]
pub(crate) struct Target {
    spec: Arc<ProvisionedSpec>,
    schedules: Vec<(Schedule, u32)>,
    action: Action,
    tracked: Tracked,
}

/// The action in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Action {
    number: Option<u32>,
    /// When to evaluate again, in Unix milliseconds.
    again_ms: i64,
}

/// The number that tracks usage.
#[derive(Debug, Clone, Copy)]
struct Tracked {
    number: u32,
    /// When usage is sampled next.
    again: Option<Instant>,
    /// When the window for lowering began, and the maximum needed since.
    window: Option<(Instant, u32)>,
}

impl Target {
    pub fn new(spec: Arc<ProvisionedSpec>) -> Self {
        // The API refuses unreadable actions; with a catalog of another release only the action is
        // lost.
        let read = |action: &types::ScheduledAction| Some((action.cron.parse::<Schedule>().ok()?, action.number));
        let schedules = spec.actions.iter().filter_map(read).collect();
        let number = spec.tracking.as_ref().map_or(0, |tracking| tracking.min);
        Self {
            spec,
            schedules,
            action: Action { number: None, again_ms: i64::MIN },
            tracked: Tracked { number, again: None, window: None },
        }
    }

    pub fn spec(&self) -> &Arc<ProvisionedSpec> {
        &self.spec
    }

    /// Whether usage counts now.
    pub fn looks_at_use(&self, now: Instant) -> bool {
        self.spec.tracking.is_some() && self.tracked.again.is_none_or(|again| now >= again)
    }

    /// When usage is sampled next.
    pub fn next_look(&self) -> Option<Instant> {
        self.tracked.again.filter(|_| self.spec.tracking.is_some())
    }

    /// When the next action takes effect, in Unix milliseconds.
    pub fn next_action_ms(&self) -> Option<i64> {
        Some(self.action.again_ms).filter(|again_ms| (i64::MIN + 1..i64::MAX).contains(again_ms))
    }

    /// The number now. `in_use` is the peak of concurrent requests since the last call, of which an
    /// instance serves `concurrency`; it is used when [`Target::looks_at_use`] is true.
    pub fn number(&mut self, now: Instant, unix_ms: i64, in_use: u32, concurrency: u32) -> u32 {
        if unix_ms >= self.action.again_ms {
            self.action = self.action_at(unix_ms);
        }
        let Some(tracking) = &self.spec.tracking else {
            return self.action.number.unwrap_or(self.spec.number);
        };
        if self.tracked.again.is_none_or(|again| now >= again) {
            self.tracked = self.tracked.look(needed(tracking, in_use, concurrency), now);
        }
        // An action with the number 0 ends the override.
        self.action.number.filter(|number| *number > 0).unwrap_or(self.tracked.number)
    }

    /// The latest action that is due; of several at once, the last in the list.
    fn action_at(&self, unix_ms: i64) -> Action {
        let offset_s = self.spec.utc_offset_s;
        let came = |(schedule, number): &(Schedule, u32)| {
            let last_ms = schedule.last_until(unix_ms, offset_s).filter(|last_ms| *last_ms > self.spec.set_ms)?;
            Some((last_ms, *number))
        };
        let number =
            self.schedules.iter().filter_map(came).max_by_key(|(last_ms, _)| *last_ms).map(|(_, number)| number);
        let next = self.schedules.iter().filter_map(|(schedule, _)| schedule.next_after(unix_ms, offset_s)).min();
        Action { number, again_ms: next.unwrap_or(i64::MAX) }
    }
}

impl Tracked {
    /// Grows at once; shrinks at the end of a window, to the maximum needed in it.
    fn look(self, needed: u32, now: Instant) -> Self {
        let again = Some(now + GROW_EVERY);
        let (since, most) = self.window.map_or((now, needed), |(since, most)| (since, most.max(needed)));
        if needed >= self.number {
            return Self { number: needed, again, window: None };
        }
        if now.saturating_duration_since(since) >= SHRINK_WINDOW {
            return Self { number: most, again, window: None };
        }
        Self { number: self.number, again, window: Some((since, most)) }
    }
}

/// The number of instances at which usage is the wanted share, within the bounds.
fn needed(tracking: &Tracking, in_use: u32, concurrency: u32) -> u32 {
    let share = tracking.target.fraction() * f64::from(concurrency.max(1));
    // Positive, and clamped to the bounds below: it fits.
    let instances = (f64::from(in_use) / share).ceil() as u32;
    instances.clamp(tracking.min, tracking.max.max(tracking.min))
}

#[cfg(test)]
mod tests {
    use types::ScheduledAction;
    use types::alias::Weight;

    use super::*;

    /// 2026-03-02T00:00:00Z, a Monday.
    const MONDAY_MS: i64 = 1_772_409_600_000;
    const HOUR_MS: i64 = 3_600_000;

    fn action(name: &str, cron: &str, number: u32) -> ScheduledAction {
        ScheduledAction { name: name.to_owned(), number, cron: cron.to_owned(), provisioned_type: None }
    }

    fn target(number: u32, tracking: Option<Tracking>, actions: Vec<ScheduledAction>) -> Target {
        let spec = ProvisionedSpec { number, tracking, actions, set_ms: MONDAY_MS, utc_offset_s: 0 };
        Target::new(Arc::new(spec))
    }

    fn tracking(min: u32, max: u32) -> Option<Tracking> {
        Some(Tracking { target: Weight::from_fraction(0.5).expect("a share"), min, max })
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_brings_its_number_into_force_and_a_later_one_another() {
        let day = vec![action("up", "0 0 9 * * * *", 5), action("down", "0 0 18 * * * *", 0)];
        let (mut target, now) = (target(1, None, day), Instant::now());
        let at = |target: &mut Target, hour: i64| target.number(now, MONDAY_MS + hour * HOUR_MS, 0, 1);
        assert_eq!(at(&mut target, 1), 1, "no time has come since it was set");
        assert_eq!([9, 17, 18, 32, 33].map(|hour| at(&mut target, hour)), [5, 5, 0, 0, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_actions_at_one_time_the_last_one_given_wins() {
        let both = vec![action("a", "0 0 9 * * * *", 5), action("b", "0 0 9 * * MON *", 7)];
        let (mut target, now) = (target(0, None, both), Instant::now());
        assert_eq!(target.number(now, MONDAY_MS + 10 * HOUR_MS, 0, 1), 7);
        assert_eq!(target.number(now, MONDAY_MS + 34 * HOUR_MS, 0, 1), 5, "Tuesday");
    }

    #[tokio::test(start_paused = true)]
    async fn times_before_it_was_set_do_not_count() {
        let mut target = target(3, None, vec![action("up", "0 0 0 * * * *", 5)]);
        assert_eq!(target.number(Instant::now(), MONDAY_MS + 1, 0, 1), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn tracking_grows_every_ten_seconds_and_shrinks_once_in_ten_minutes() {
        let (mut target, start) = (target(0, tracking(1, 10), Vec::new()), Instant::now());
        let mut after = |seconds, in_use| target.number(start + Duration::from_secs(seconds), MONDAY_MS, in_use, 2);
        assert_eq!(after(0, 0), 1);
        assert_eq!(after(5, 8), 1, "looked at too early");
        assert_eq!(after(10, 8), 8, "eight requests, of which an instance has one at half its use");
        assert_eq!(after(20, 100), 10, "at most");
        assert_eq!(after(30, 2), 10);
        assert_eq!(after(300, 4), 10);
        assert_eq!(after(600, 1), 10);
        assert_eq!(after(640, 1), 4, "the most that was needed in the window");
        assert_eq!(after(660, 0), 4);
        assert_eq!(after(1270, 0), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_action_goes_before_tracking_until_one_with_0_ends_it() {
        let day = vec![action("up", "0 0 9 * * * *", 5), action("down", "0 0 18 * * * *", 0)];
        let (mut target, now) = (target(0, tracking(2, 10), day), Instant::now());
        let mut at = |hour: i64| target.number(now, MONDAY_MS + hour * HOUR_MS, 0, 1);
        assert_eq!([1, 9, 18].map(&mut at), [2, 5, 2]);
    }
}
