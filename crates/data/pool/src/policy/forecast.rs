//! How many instances a version needs, now and soon.
//!
//! Requests go to the instance that was used last, so instances are distinguished by level: the
//! third level of a version is in use while any three instances are. Each level has its own
//! history: the first is needed often, the tenth only in bursts. The number of idle instances to
//! keep follows from how long their levels have not been needed ([`IdleHistogram`], one for levels
//! of about the same height).
//!
//! A level is also needed when the one below it was reached a moment ago and that was often
//! followed by more: the first requests of a burst prewarm instances for the rest of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::keep_alive::{IdleHistogram, KeepAlive, KeepAlivePolicy};

/// Number of histories; the last one covers all levels above.
const CLASSES_MAX: usize = 8;
/// Rises of the level below that are counted before their weight is halved.
const RISES_REMEMBERED_MAX: u32 = 200;
/// Fewer rises give no forecast.
const RISES_MIN: u32 = 4;

/// The history of levels of about the same height.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Class {
    idle: IdleHistogram,
    /// How often the level below was reached after a pause, and how often this one followed soon
    /// after.
    rises: u32,
    followed: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Level {
    reached: Option<Instant>,
    /// The first time that it was reached after a pause.
    anew: Option<Instant>,
    left: Option<Instant>,
    /// Whether it was reached since the level below was; counted once.
    followed: bool,
}

/// The demand history of a version, and its forecast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    in_use: usize,
    /// The levels from the first to the highest number ever in use at once.
    levels: Vec<Level>,
    classes: Vec<Class>,
    /// A forecast start failed; no further one begins until the next call.
    starts_failed: bool,
}

/// The number of instances to keep and to start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// This many are not to be stopped.
    pub keep: usize,
    /// This many are to exist; missing ones are started.
    pub start: usize,
    /// Whether further instances will have to be started later if no call comes before.
    pub later: bool,
}

fn class_of(level: usize) -> usize {
    (level.max(1).ilog2() as usize).min(CLASSES_MAX - 1)
}

impl Forecast {
    /// Continues with the observations of a version whose instances are gone.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { in_use: 0, ..self }
    }

    /// Records that another instance is in use; `policy` weighs having one ready.
    pub fn rise(&mut self, now: Instant, policy: KeepAlivePolicy, start: Duration) {
        self.in_use += 1;
        self.starts_failed = false;
        let level = self.in_use;
        if self.levels.len() < level {
            self.levels.push(Level::default());
        }
        let covered = self.is_ahead(level, now, policy, start) && self.ahead_for(level, now) >= start;
        let soon = self.below_reached(level, now).is_some_and(|since| since < policy.keep_min);
        let of_level = &mut self.levels[level - 1];
        if let Some(left) = of_level.left {
            let idle = now.saturating_duration_since(left);
            Self::class(&mut self.classes, level).idle.idle_for(idle, covered);
        }
        if soon && !std::mem::replace(&mut of_level.followed, true) {
            Self::class(&mut self.classes, level).followed += 1;
        }
        let again = of_level.reached.replace(now).map(|before| now.saturating_duration_since(before));
        if again.is_none_or(|again| again >= policy.keep_min) {
            of_level.anew = Some(now);
            self.rose_anew(level);
        }
    }

    /// Records that the level was reached after a pause: whether the next one follows is counted.
    fn rose_anew(&mut self, level: usize) {
        let class = Self::class(&mut self.classes, level + 1);
        class.rises += 1;
        if class.rises > RISES_REMEMBERED_MAX {
            (class.rises, class.followed) = (class.rises / 2, class.followed / 2);
        }
        if let Some(above) = self.levels.get_mut(level) {
            above.followed = false;
        }
    }

    fn class(classes: &mut Vec<Class>, level: usize) -> &mut Class {
        let class = class_of(level);
        if classes.len() <= class {
            classes.resize_with(class + 1, Class::default);
        }
        &mut classes[class]
    }

    /// Records that an instance is no longer in use.
    pub fn fall(&mut self, now: Instant) {
        if let Some(level) = self.levels.get_mut(self.in_use.wrapping_sub(1)) {
            level.left = Some(now);
            self.in_use -= 1;
        }
    }

    /// Records that a forecast start failed: no further one begins until the next call. Existing
    /// instances stay as planned.
    pub fn start_failed(&mut self) {
        self.starts_failed = true;
    }

    /// The plan for the instance of an unused level, when another takes `start` to be ready.
    pub fn plan(&self, level: usize, policy: KeepAlivePolicy, start: Duration) -> KeepAlive {
        let none = IdleHistogram::default();
        let idle = self.classes.get(class_of(level)).map_or(&none, |class| &class.idle);
        // The intervals of several levels together do not predict when one of them is needed again.
        if level == 1 { idle.plan(policy, start) } else { KeepAlive::For(idle.keep_for(policy)) }
    }

    fn below_reached(&self, level: usize, now: Instant) -> Option<Duration> {
        let below = self.levels.get(level.checked_sub(2)?)?;
        below.reached.map(|at| now.saturating_duration_since(at))
    }

    /// How long the level has been forecast without a break.
    fn ahead_for(&self, level: usize, now: Instant) -> Duration {
        let below = level.checked_sub(2).and_then(|below| self.levels.get(below)?.anew);
        below.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// Whether a level is needed because the one below it was reached a moment ago. A moment is the
    /// shortest time for which an instance is kept: one that was started for this would be there as
    /// long anyway.
    pub fn is_ahead(&self, level: usize, now: Instant, policy: KeepAlivePolicy, start: Duration) -> bool {
        let soon = self.below_reached(level, now).is_some_and(|since| since < policy.keep_min);
        soon && self.classes.get(class_of(level)).is_some_and(|class| {
            let share = f64::from(class.followed) / f64::from(class.rises.max(1));
            let saved = policy.cold_start.mul_f64(share.min(1.0));
            class.rises >= RISES_MIN && saved > policy.keep_min + start
        })
    }

    /// The number of instances needed now.
    pub fn need(&self, now: Instant, policy: KeepAlivePolicy, start: Duration) -> Need {
        let mut need = Need { keep: self.in_use, start: self.in_use, later: false };
        // One more than the highest number so far may be forecast.
        for level in self.in_use + 1..=self.levels.len() + 1 {
            let ahead = self.is_ahead(level, now, policy, start);
            let left = self.levels.get(level - 1).and_then(|level| level.left);
            let (mut holds, mut prewarms) = (ahead, ahead);
            if let Some(left) = left {
                let (plan, idle) = (self.plan(level, policy, start), now.saturating_duration_since(left));
                holds |= plan.holds(idle);
                prewarms |= plan.prewarms(idle);
                need.later |= plan.will_prewarm(idle);
            }
            need.keep += usize::from(holds);
            if prewarms {
                need.start = level;
            }
        }
        need.later |= need.start > self.in_use;
        if self.starts_failed {
            (need.start, need.later) = (self.in_use, false);
        }
        need
    }

    /// When the need changes without further events.
    pub fn next_change(&self, now: Instant, policy: KeepAlivePolicy, start: Duration) -> Option<Instant> {
        let of_level = |level: usize| {
            let ahead = self.is_ahead(level, now, policy, start);
            let below = self.levels.get(level.wrapping_sub(2)).and_then(|below| below.reached);
            let follows = below.filter(|_| ahead).map(|reached| reached + policy.keep_min);
            let left = self.levels.get(level - 1).and_then(|level| level.left);
            let changes = left.into_iter().flat_map(move |left| {
                self.plan(level, policy, start).changes().into_iter().flatten().map(move |after| left + after)
            });
            changes.chain(follows).filter(move |at| *at > now)
        };
        (self.in_use + 1..=self.levels.len() + 1).flat_map(of_level).min()
    }

    /// The next level up, if it is forecast because the one below was reached a moment ago.
    pub fn ahead(&self, now: Instant, policy: KeepAlivePolicy, start: Duration) -> Option<usize> {
        let level = self.in_use + 1;
        (!self.starts_failed && self.is_ahead(level, now, policy, start)).then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: KeepAlivePolicy = KeepAlivePolicy {
        cold_start: Duration::from_secs(60),
        keep_min: Duration::from_secs(2),
        keep_max: Duration::from_secs(600),
    };
    const START: Duration = Duration::from_millis(100);

    struct Bench {
        forecast: Forecast,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { forecast: Forecast::default(), now: Instant::now() }
        }

        fn after(&mut self, seconds: f64) -> &mut Self {
            self.now += Duration::from_secs_f64(seconds);
            self
        }

        fn rise(&mut self) -> &mut Self {
            self.forecast.rise(self.now, POLICY, START);
            self
        }

        fn fall(&mut self) -> &mut Self {
            self.forecast.fall(self.now);
            self
        }

        fn next_change_s(&self) -> Option<f64> {
            let at = self.forecast.next_change(self.now, POLICY, START)?;
            Some(at.duration_since(self.now).as_secs_f64())
        }

        fn need(&self) -> Need {
            self.forecast.need(self.now, POLICY, START)
        }
    }

    #[test]
    fn what_is_in_use_is_needed_and_what_was_is_kept_for_a_while() {
        let mut bench = Bench::new();
        assert_eq!(bench.need(), Need::default());
        bench.rise().rise();
        assert_eq!((bench.need().keep, bench.need().start), (2, 2));
        bench.fall().after(59.0).fall();
        assert_eq!(bench.need().keep, 2);
        bench.after(1.0);
        assert_eq!(bench.need().keep, 1, "the second has not been needed for a minute");
        bench.after(59.0);
        assert_eq!(bench.need(), Need::default());
    }

    #[test]
    fn levels_learn_by_themselves() {
        let mut bench = Bench::new();
        for n in 0..40 {
            bench.after(10.0).rise();
            if n % 20 == 0 {
                bench.rise().after(0.1).fall();
            }
            bench.after(0.1).fall();
        }
        let keep = |level| bench.forecast.plan(level, POLICY, START);
        assert!(matches!(keep(1), KeepAlive::For(keep) if keep < Duration::from_secs(20)), "{:?}", keep(1));
        assert_eq!(keep(2), KeepAlive::For(Duration::from_secs(60)));
    }

    #[test]
    fn a_burst_brings_more_before_they_are_asked_for() {
        let mut bench = Bench::new();
        for _ in 0..RISES_MIN {
            bench.after(1000.0).rise().after(0.5).rise().after(0.5).fall().fall();
        }
        bench.after(1000.0);
        assert_eq!(bench.need(), Need::default(), "nothing between bursts");
        bench.rise();
        assert_eq!(bench.forecast.ahead(bench.now, POLICY, START), Some(2));
        assert_eq!((bench.need().keep, bench.need().start), (2, 2));
        bench.after(0.1).fall();
        assert_eq!(bench.need().start, 2, "it may still come");
        bench.after(2.0);
        assert_eq!((bench.need().keep, bench.need().start), (1, 0), "it did not come");
    }

    #[test]
    fn after_a_failure_nothing_is_expected_until_somebody_calls() {
        let mut bench = Bench::new();
        for _ in 0..8 {
            bench.after(300.0).rise().fall();
        }
        bench.after(297.0);
        assert_eq!(bench.need().start, 1);
        bench.forecast.start_failed();
        assert_eq!(bench.need(), Need { keep: 1, start: 0, later: false }, "one that is there may stay");
        bench.after(3.0).rise().fall().after(297.0);
        assert_eq!(bench.need().start, 1);
    }

    #[test]
    fn one_that_never_needs_a_second_gets_none() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            bench.after(20.0).rise().after(1.0);
            assert_eq!(bench.forecast.ahead(bench.now, POLICY, START), None);
            bench.fall();
        }
    }

    #[test]
    fn a_timers_instance_returns() {
        let mut bench = Bench::new();
        for _ in 0..8 {
            bench.after(300.0).rise().fall();
        }
        bench.after(3.0);
        assert_eq!(bench.need(), Need { keep: 0, start: 0, later: true });
        bench.after(293.9);
        assert_eq!(bench.need(), Need { keep: 1, start: 1, later: true });
        bench.after(10.0);
        assert_eq!(bench.need(), Need::default(), "nobody came");
        assert_eq!(bench.next_change_s(), None);
    }

    #[test]
    fn the_need_changes_only_when_it_says_so() {
        let mut bench = Bench::new();
        for n in 0..12 {
            bench.after(300.0).rise();
            if n % 3 > 0 {
                bench.after(0.5).rise().after(0.25).fall();
            }
            bench.after(0.25).fall();
        }
        bench.rise();
        for _ in 0..40 {
            let (need, change) = (bench.need(), bench.next_change_s());
            let step = change.unwrap_or(10_000.0);
            bench.after(step - 0.001);
            assert_eq!((bench.need().keep, bench.need().start), (need.keep, need.start), "{change:?}");
            bench.after(0.001);
            if change.is_none() {
                return;
            }
        }
        panic!("it changes for ever");
    }
}
