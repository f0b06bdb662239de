//! How many wrong secrets are looked at before a key must wait, and for how long: the rule, without a database.
//!
//! A try is counted before its secret is looked at and taken back if that was right, so that tries side by side get no
//! more than tries one after the other. Once the limit is reached, each further wrong one doubles the wait, and when a
//! wait is over one try at a time is let through. Nobody waits for ever.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// No try takes as long as this: one that was counted so long ago and of which nothing was heard was lost, with its
/// program or its client. It counts as wrong.
const LOST_AFTER: TimeDelta = TimeDelta::seconds(60);

/// The limit of one kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// How many wrong secrets a window may hold; not zero.
    pub(super) failures_max: u32,
    /// How long a count lasts.
    pub(super) window: TimeDelta,
    /// The first wait.
    pub(super) delay_first: Duration,
    /// The longest.
    pub(super) delay_max: Duration,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// Wrong secrets, and tries under way.
    pub(super) failures: u32,
    /// Since when; also tells this count from the one before it.
    pub(super) counted_from: DateTime<Utc>,
    /// When the last try was counted. Beyond the limit it is before `locked_until` unless a try is under way.
    pub(super) tried_at: DateTime<Utc>,
    /// Until when none is looked at, or was.
    pub(super) locked_until: Option<DateTime<Utc>>,
}

/// Whether a try may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It may, and this is the count with it.
    Counted(Count),
    /// So many are under way that the limit would be passed if all of them were wrong: wait for the first to end.
    Busy,
    /// It may not before then.
    Locked(DateTime<Utc>),
}

/// What a secret was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was the account's.
    Right,
    /// It was not, or there is no such account.
    Wrong,
}

impl Rule {
    /// Counts a try beforehand, if it may go on.
    pub(super) fn enter(&self, count: Option<Count>, now: DateTime<Utc>) -> Entry {
        let count = match count {
            // Of one that was always right there is nothing to remember, not even since when.
            Some(count) if count.failures > 0 && !self.is_forgotten(&count, now) => count,
            _ => Count { failures: 0, counted_from: now, tried_at: now, locked_until: None },
        };
        if let Some(until) = count.locked_until.filter(|until| *until > now) {
            return Entry::Locked(until);
        }
        if count.failures >= self.failures_max && count.is_under_way(now) {
            return Entry::Busy;
        }
        Entry::Counted(Count { failures: count.failures.saturating_add(1), tried_at: now, ..count })
    }

    /// Takes a try back, or leaves it counted; and until when the key waits from now on, if a wait begins with it. The try
    /// is of the count that began at `counted_from`.
    pub(super) fn settle(
        &self,
        count: Count,
        counted_from: DateTime<Utc>,
        verdict: Verdict,
        now: DateTime<Utc>,
    ) -> (Count, Option<DateTime<Utc>>) {
        let of_this = count.counted_from == counted_from;
        match verdict {
            Verdict::Right if of_this => (self.take_back(count), None),
            Verdict::Right => (count, None),
            Verdict::Wrong => {
                let uncounted = u32::from(!of_this);
                self.wait(Count { failures: count.failures.saturating_add(uncounted), ..count }, now)
            }
        }
    }

    /// Counts something that is never taken back; or until when it may not be done.
    pub(super) fn spend(&self, count: Option<Count>, now: DateTime<Utc>) -> Result<Count, DateTime<Utc>> {
        match self.enter(count, now) {
            Entry::Counted(count) => Ok(self.settle(count, count.counted_from, Verdict::Wrong, now).0),
            // Only where the limit was lowered since: what is never taken back is never under way.
            Entry::Busy => Err(now + LOST_AFTER),
            Entry::Locked(until) => Err(until),
        }
    }

    fn take_back(&self, count: Count) -> Count {
        let failures = count.failures.saturating_sub(1);
        if failures < self.failures_max {
            // A wait that began while others were under way, which turned out to be right, was not deserved.
            return Count { failures, locked_until: None, ..count };
        }
        // The try that was let through after a wait is no longer under way; the wait stays where it was, so that whoever
        // logs in all the time does not keep old failures alive.
        let waited_until = count.locked_until.unwrap_or(count.tried_at);
        Count {
            failures,
            tried_at: count.tried_at.min(waited_until - TimeDelta::microseconds(1)),
            locked_until: Some(waited_until),
            ..count
        }
    }

    fn wait(&self, count: Count, now: DateTime<Utc>) -> (Count, Option<DateTime<Utc>>) {
        let waits = count.locked_until.is_some_and(|until| until > now);
        if count.failures < self.failures_max || waits {
            return (count, None);
        }
        let until = now + self.delay(count.failures - self.failures_max);
        (Count { locked_until: Some(until), ..count }, Some(until))
    }

    /// The wait after so many failures beyond the first that leads to one.
    fn delay(&self, beyond: u32) -> TimeDelta {
        let factor = 2_u32.checked_pow(beyond).unwrap_or(u32::MAX);
        let delay = self.delay_first.saturating_mul(factor).min(self.delay_max);
        TimeDelta::from_std(delay).unwrap_or(TimeDelta::zero())
    }

    /// Below the limit a count lasts as long as the window; beyond it, as long again since anything was wrong.
    pub(super) fn is_forgotten(&self, count: &Count, now: DateTime<Utc>) -> bool {
        let last = if count.failures < self.failures_max && count.locked_until.is_none() {
            count.counted_from
        } else {
            count.locked_until.map_or(count.tried_at, |until| until.max(count.tried_at))
        };
        now >= last + self.window
    }
}

impl Count {
    /// Beyond the limit: whether a try is under way, as far as is known.
    fn is_under_way(&self, now: DateTime<Utc>) -> bool {
        let since_the_wait = self.locked_until.is_none_or(|until| self.tried_at >= until);
        since_the_wait && now < self.tried_at + LOST_AFTER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule {
        failures_max: 3,
        window: TimeDelta::minutes(15),
        delay_first: Duration::from_secs(1),
        delay_max: Duration::from_mins(15),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    /// A key as its tries see it.
    #[derive(Default)]
    struct Key(Option<Count>);

    impl Key {
        /// Counts a try; gives the count it is of.
        fn enter(&mut self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Entry> {
            match RULE.enter(self.0, now) {
                Entry::Counted(count) => {
                    self.0 = Some(count);
                    Ok(count.counted_from)
                }
                refused => Err(refused),
            }
        }

        fn settle(
            &mut self,
            of: DateTime<Utc>,
            verdict: Verdict,
            now: DateTime<Utc>,
        ) -> Option<DateTime<Utc>> {
            let (count, begins) = RULE.settle(self.0.unwrap(), of, verdict, now);
            self.0 = Some(count);
            begins
        }

        /// One try from its beginning to its end.
        fn try_once(&mut self, verdict: Verdict, now: DateTime<Utc>) -> Result<Option<i64>, Entry> {
            let of = self.enter(now)?;
            Ok(self.settle(of, verdict, now).map(|until| (until - now).num_seconds()))
        }
    }

    #[test]
    fn the_limit_begins_a_wait_that_doubles_up_to_its_longest_and_then_stays() {
        let (mut key, mut now) = (Key::default(), at(0));
        let mut waits = Vec::new();
        for _ in 0..15 {
            let wait = key.try_once(Verdict::Wrong, now).unwrap();
            if let Some(seconds) = wait {
                assert_eq!(key.enter(now), Err(Entry::Locked(now + TimeDelta::seconds(seconds))));
                let almost = now + TimeDelta::seconds(seconds) - TimeDelta::milliseconds(1);
                assert!(matches!(key.enter(almost), Err(Entry::Locked(_))), "the right one has to wait, too");
                now += TimeDelta::seconds(seconds);
            }
            waits.push(wait.unwrap_or(0));
        }
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn tries_side_by_side_get_no_more_places_than_the_limit_and_then_all_must_wait() {
        let mut key = Key::default();
        let under_way: Vec<_> = (0..3).map(|_| key.enter(at(0)).unwrap()).collect();
        assert_eq!(key.enter(at(0)), Err(Entry::Busy));
        let begins: Vec<_> =
            under_way.iter().map(|of| key.settle(*of, Verdict::Wrong, at(1)).is_some()).collect();
        assert_eq!(begins, [true, false, false], "one wait begins");
        assert_eq!(key.enter(at(1)), Err(Entry::Locked(at(2))));
    }

    #[test]
    fn after_a_wait_one_at_a_time_is_let_through_and_what_is_right_shortens_nothing_and_prolongs_nothing() {
        let mut key = Key::default();
        for _ in 0..3 {
            key.try_once(Verdict::Wrong, at(0)).unwrap();
        }
        for seconds in [5, 400, 900] {
            let of = key.enter(at(seconds)).unwrap();
            assert_eq!(key.enter(at(seconds)), Err(Entry::Busy), "one at a time");
            assert_eq!(key.settle(of, Verdict::Right, at(seconds)), None);
        }
        assert_eq!(key.0.unwrap().failures, 3);
        // The wait ended at 1 s; a window later the failures are forgotten although somebody logged in meanwhile.
        assert_eq!(key.try_once(Verdict::Wrong, at(901)), Ok(None));
        assert_eq!(key.0.unwrap().failures, 1);
    }

    #[test]
    fn right_ones_that_were_under_way_with_a_wrong_one_end_a_wait_that_was_not_deserved() {
        let mut key = Key::default();
        let under_way: Vec<_> = (0..3).map(|_| key.enter(at(0)).unwrap()).collect();
        assert!(key.settle(under_way[0], Verdict::Wrong, at(0)).is_some());
        key.settle(under_way[1], Verdict::Right, at(0));
        assert_eq!(key.try_once(Verdict::Right, at(0)), Ok(None));
    }

    #[test]
    fn what_was_lost_with_its_program_counts_as_wrong_after_a_minute_and_locks_nobody_out() {
        let mut key = Key::default();
        for _ in 0..3 {
            key.enter(at(0)).unwrap();
        }
        assert_eq!(key.enter(at(59)), Err(Entry::Busy));
        let of = key.enter(at(60)).unwrap();
        assert_eq!(key.enter(at(60)), Err(Entry::Busy), "one at a time");
        key.settle(of, Verdict::Right, at(61));
        assert_eq!(key.try_once(Verdict::Right, at(61)), Ok(None));
        // One that is lost after a wait, likewise.
        assert_eq!(key.try_once(Verdict::Wrong, at(62)), Ok(Some(2)));
        key.enter(at(64)).unwrap();
        assert_eq!(key.enter(at(123)), Err(Entry::Busy));
        assert_eq!(key.try_once(Verdict::Wrong, at(124)), Ok(Some(8)));
    }

    #[test]
    fn below_the_limit_a_count_ends_with_its_window_whoever_tries_meanwhile() {
        let mut key = Key::default();
        key.try_once(Verdict::Wrong, at(0)).unwrap();
        key.try_once(Verdict::Wrong, at(890)).unwrap();
        key.try_once(Verdict::Right, at(899)).unwrap();
        assert_eq!(key.try_once(Verdict::Wrong, at(900)), Ok(None), "a new count");
        assert_eq!(key.try_once(Verdict::Wrong, at(901)), Ok(None));
        assert_eq!(key.try_once(Verdict::Wrong, at(902)), Ok(Some(1)));
    }

    #[test]
    fn a_count_begins_with_the_first_failure_not_with_a_login_that_was_right() {
        let mut key = Key::default();
        key.try_once(Verdict::Right, at(0)).unwrap();
        key.try_once(Verdict::Wrong, at(800)).unwrap();
        key.try_once(Verdict::Wrong, at(901)).unwrap();
        assert_eq!(key.try_once(Verdict::Wrong, at(902)), Ok(Some(1)));
    }

    #[test]
    fn a_try_of_an_older_count_takes_nothing_back_from_this_one_and_still_counts_if_it_is_wrong() {
        let mut key = Key::default();
        let older = [key.enter(at(0)).unwrap(), key.enter(at(0)).unwrap()];
        key.try_once(Verdict::Wrong, at(900)).unwrap();
        assert_eq!(key.0.unwrap().failures, 1);
        key.settle(older[0], Verdict::Right, at(901));
        assert_eq!(key.0.unwrap().failures, 1);
        key.settle(older[1], Verdict::Wrong, at(901));
        assert_eq!(key.0.unwrap().failures, 2);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enter,
        Settle(usize, bool),
        Pass(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Enter),
            4 => (any::<usize>(), any::<bool>()).prop_map(|(which, right)| Step::Settle(which, right)),
            1 => (0..2_000_i64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_tries_shuts_anybody_out_for_longer_than_the_longest_wait(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let (mut key, mut now, mut under_way) = (Key::default(), at(0), Vec::new());
            for step in steps {
                match step {
                    Step::Enter => match key.enter(now) {
                        Ok(of) => under_way.push(of),
                        Err(Entry::Locked(until)) => {
                            prop_assert!(until > now && until - now <= TimeDelta::minutes(15));
                        }
                        Err(refused) => prop_assert_eq!(refused, Entry::Busy),
                    },
                    Step::Settle(which, right) if !under_way.is_empty() => {
                        let of = under_way.swap_remove(which % under_way.len());
                        key.settle(of, if right { Verdict::Right } else { Verdict::Wrong }, now);
                    }
                    Step::Settle(..) => {}
                    Step::Pass(seconds) => now += TimeDelta::seconds(seconds),
                }
            }
            // Whatever is still under way is lost.
            prop_assert!(key.enter(now + TimeDelta::minutes(16)).is_ok());
        }

        #[test]
        fn whoever_is_right_is_never_locked(orders in prop::collection::vec(any::<usize>(), 1..100)) {
            let (mut key, mut under_way) = (Key::default(), Vec::new());
            for which in orders {
                match key.enter(at(0)) {
                    Ok(of) => under_way.push(of),
                    Err(refused) => prop_assert_eq!(refused, Entry::Busy),
                }
                if which % 2 == 0 {
                    let of = under_way.swap_remove(which % under_way.len());
                    prop_assert_eq!(key.settle(of, Verdict::Right, at(0)), None);
                }
            }
        }

        #[test]
        fn guesses_in_any_order_are_looked_at_no_oftener_than_one_after_the_other(
            steps in prop::collection::vec(any::<(bool, usize)>(), 1..300),
        ) {
            // In one instant no wait ends: all that is looked at is the limit.
            let (mut key, mut under_way, mut looked_at) = (Key::default(), Vec::new(), 0);
            for (enters, which) in steps {
                if enters || under_way.is_empty() {
                    if let Ok(of) = key.enter(at(0)) {
                        under_way.push(of);
                        looked_at += 1;
                    }
                } else {
                    let of = under_way.swap_remove(which % under_way.len());
                    key.settle(of, Verdict::Wrong, at(0));
                }
            }
            prop_assert!(looked_at <= 3, "{looked_at}");
        }
    }
}
