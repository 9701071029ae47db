//! The events of one function by trigger: a trigger may bound how many of its events run at once,
//! without delaying others.

use types::TriggerId;

/// Waiting and running events, by trigger.
#[derive(Debug, Default)]
pub(super) struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    /// `None`: events without a trigger.
    trigger: Option<TriggerId>,
    running: usize,
    next_due_ms: Option<i64>,
    /// The maximum runs: due events wait for an end.
    is_full: bool,
}

impl Lane {
    fn room(&self, limit: impl Fn(&TriggerId) -> Option<usize>) -> usize {
        let limit = self.trigger.as_ref().and_then(limit).unwrap_or(usize::MAX);
        limit.saturating_sub(self.running)
    }

    fn is_due(&self, now_ms: i64) -> bool {
        self.next_due_ms.is_some_and(|due| due <= now_ms)
    }
}

impl Lanes {
    /// When the next event is due that its trigger allows to run.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.0.iter().filter(|lane| !lane.is_full).filter_map(|lane| lane.next_due_ms).min()
    }

    /// Records when a waiting event is due.
    pub(super) fn due(&mut self, trigger: Option<&TriggerId>, due_ms: i64) {
        let lane = self.lane(trigger);
        lane.next_due_ms = Some(lane.next_due_ms.map_or(due_ms, |known| known.min(due_ms)));
    }

    /// How many runs the triggers with due events have room for.
    pub(super) fn room(&self, now_ms: i64, limit: impl Fn(&TriggerId) -> Option<usize>) -> usize {
        let due = self.0.iter().filter(|lane| lane.is_due(now_ms));
        due.fold(0, |room: usize, lane| room.saturating_add(lane.room(&limit)))
    }

    /// Deals runs to due events, one to each trigger in turn, and counts them as running. When the
    /// next event of those is due is known once the claim returns.
    pub(super) fn deal(
        &mut self,
        runs: usize,
        now_ms: i64,
        limit: impl Fn(&TriggerId) -> Option<usize>,
    ) -> Vec<(Option<TriggerId>, usize)> {
        let due = self.0.iter_mut().filter(|lane| lane.is_due(now_ms));
        let mut open: Vec<(usize, usize, &mut Lane)> = due.map(|lane| (lane.room(&limit), 0, lane)).collect();
        let mut left = runs;
        while left > 0 && open.iter().any(|(room, dealt, _)| dealt < room) {
            for (_, dealt, _) in open.iter_mut().filter(|(room, dealt, _)| dealt < room).take(left) {
                *dealt += 1;
                left -= 1;
            }
        }
        open.retain(|(_, dealt, _)| *dealt > 0);
        let count = |(_, dealt, lane): (usize, usize, &mut Lane)| {
            lane.running += dealt;
            lane.next_due_ms = None;
            (lane.trigger.clone(), dealt)
        };
        open.into_iter().map(count).collect()
    }

    /// Marks triggers with due events that have no room; returns whether there are any.
    pub(super) fn look(&mut self, now_ms: i64, limit: impl Fn(&TriggerId) -> Option<usize>) -> bool {
        self.0.iter_mut().for_each(|lane| lane.is_full = lane.is_due(now_ms) && lane.room(&limit) == 0);
        self.0.iter().any(|lane| lane.is_full)
    }

    /// Records that this many runs ended, or did not begin.
    pub(super) fn ended(&mut self, trigger: Option<&TriggerId>, runs: usize) {
        let lane = self.lane(trigger);
        lane.running = lane.running.saturating_sub(runs);
        lane.is_full = false;
        // A trigger without events is removed.
        self.0.retain(|lane| lane.running > 0 || lane.next_due_ms.is_some());
    }

    fn lane(&mut self, trigger: Option<&TriggerId>) -> &mut Lane {
        let at = self.0.iter().position(|lane| lane.trigger.as_ref() == trigger).unwrap_or_else(|| {
            self.0.push(Lane { trigger: trigger.cloned(), running: 0, next_due_ms: None, is_full: false });
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> TriggerId {
        format!("trg-{n:012}").parse().unwrap()
    }

    #[test]
    fn runs_go_to_triggers_in_turn_up_to_their_bounds() {
        let (mut lanes, bounded, limit) = (Lanes::default(), id(1), |_: &TriggerId| Some(2));
        lanes.due(None, 5);
        lanes.due(Some(&bounded), 0);
        assert_eq!(lanes.room(4, limit), 2, "the others are not due yet");
        assert_eq!(lanes.room(5, limit), usize::MAX);
        assert_eq!(lanes.deal(8, 5, limit), [(None, 6), (Some(bounded.clone()), 2)]);
        assert_eq!(lanes.next_due_ms(), None, "known when the claim returns");
        lanes.due(Some(&bounded), 0);
        assert!(lanes.look(5, limit));
        assert_eq!((lanes.next_due_ms(), lanes.room(5, limit)), (None, 0), "two of it run");
        lanes.due(None, 7);
        assert_eq!(lanes.next_due_ms(), Some(7), "others do not wait for it");
        lanes.ended(Some(&bounded), 1);
        assert_eq!(lanes.next_due_ms(), Some(0));
        assert!(!lanes.look(5, limit));
        assert_eq!(lanes.deal(8, 5, limit), [(Some(bounded), 1)]);
    }

    #[test]
    fn a_bound_that_is_raised_or_removed_lets_more_run() {
        let (mut lanes, bounded) = (Lanes::default(), id(1));
        lanes.due(Some(&bounded), 0);
        assert_eq!(lanes.deal(8, 0, |_| Some(1)), [(Some(bounded.clone()), 1)]);
        lanes.due(Some(&bounded), 0);
        assert!(lanes.look(0, |_| Some(1)));
        assert!(!lanes.look(0, |_| Some(2)));
        assert_eq!(lanes.deal(8, 0, |_| None), [(Some(bounded), 8)]);
    }

    #[test]
    fn triggers_without_events_take_no_memory() {
        let mut lanes = Lanes::default();
        for n in 0..100 {
            lanes.due(Some(&id(n)), 0);
            lanes.deal(1, 0, |_| None);
            lanes.ended(Some(&id(n)), 1);
        }
        assert!(lanes.0.is_empty());
    }
}
