//! Jepsen's account of a queue ("total-queue"): of what was put in, what came out. Pure.
//!
//! It is kept at three levels, each with a key of its own: messages as a witness beside the consumer sees them, events as
//! rows of the trail, and requests as the load's own log tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// How an attempt to put something in ended, as far as whoever tried knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was told that it is in.
    Acknowledged,
    /// It was told that it is not in, and will not be.
    Refused,
    /// It was told nothing, or that nobody knows.
    Unsure,
}

/// How many of each. Keys are counted, but for `duplicated`: that counts copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts.
    pub attempted: usize,
    /// Attempts that were acknowledged.
    pub acknowledged: usize,
    /// Attempts that came out, once or more.
    pub ok: usize,
    /// Acknowledged, and never came out.
    pub lost: usize,
    /// Came out, though nobody had tried, or though the attempt was refused.
    pub unexpected: usize,
    /// Copies beyond the first of what came out.
    pub duplicated: usize,
    /// Came out, though whoever tried could not know.
    pub recovered: usize,
}

/// The account: counts, and which keys are behind those that should be none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account<K> {
    /// The counts.
    pub counts: Counts,
    /// The keys that are lost.
    pub lost: Vec<K>,
    /// The keys that were not expected.
    pub unexpected: Vec<K>,
    /// The keys of which there are several.
    pub duplicated: Vec<K>,
}

/// Settles the account of `attempts`, each with a key of its own, against everything that was `seen` to come out, in any
/// order and as often as it came.
pub fn account<K: Ord + Clone + Debug>(
    attempts: impl IntoIterator<Item = (K, Outcome)>,
    seen: impl IntoIterator<Item = K>,
) -> Account<K> {
    let mut attempted = BTreeMap::new();
    for (key, outcome) in attempts {
        let before = attempted.insert(key.clone(), outcome);
        assert!(before.is_none(), "two attempts share the key {key:?}: the account would mean nothing");
    }
    let mut copies: BTreeMap<K, usize> = BTreeMap::new();
    for key in seen {
        *copies.entry(key).or_default() += 1;
    }
    let mut counts = Counts { attempted: attempted.len(), ..Counts::default() };
    let (mut lost, mut unexpected) = (Vec::new(), BTreeSet::new());
    for (key, outcome) in &attempted {
        let came_out = copies.contains_key(key);
        counts.acknowledged += usize::from(*outcome == Outcome::Acknowledged);
        match (outcome, came_out) {
            (Outcome::Acknowledged, true) => counts.ok += 1,
            (Outcome::Acknowledged, false) => lost.push(key.clone()),
            (Outcome::Unsure, true) => {
                counts.ok += 1;
                counts.recovered += 1;
            }
            (Outcome::Refused, true) => {
                unexpected.insert(key.clone());
            }
            (Outcome::Unsure | Outcome::Refused, false) => {}
        }
    }
    unexpected.extend(copies.keys().filter(|key| !attempted.contains_key(key)).cloned());
    let several = copies.iter().filter(|(_, copies)| **copies > 1);
    let duplicated: Vec<K> = several.clone().map(|(key, _)| key.clone()).collect();
    counts.duplicated = several.map(|(_, copies)| copies - 1).sum();
    counts.lost = lost.len();
    counts.unexpected = unexpected.len();
    Account { counts, lost, unexpected: unexpected.into_iter().collect(), duplicated }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Outcome::{Acknowledged, Refused, Unsure};
    use super::*;

    fn counts(attempts: &[(u8, Outcome)], seen: &[u8]) -> Counts {
        account(attempts.iter().copied(), seen.iter().copied()).counts
    }

    #[test]
    fn each_attempt_is_counted_where_it_belongs() {
        let none = Counts::default();
        let one = Counts { attempted: 1, ..none };
        let acknowledged = Counts { acknowledged: 1, ..one };
        for (attempts, seen, expected) in [
            (&[][..], &[][..], none),
            (&[(1, Acknowledged)], &[1], Counts { ok: 1, ..acknowledged }),
            (&[(1, Acknowledged)], &[], Counts { lost: 1, ..acknowledged }),
            (&[(1, Acknowledged)], &[1, 1, 1], Counts { ok: 1, duplicated: 2, ..acknowledged }),
            (&[(1, Unsure)], &[], one),
            (&[(1, Unsure)], &[1], Counts { ok: 1, recovered: 1, ..one }),
            (&[(1, Unsure)], &[1, 1], Counts { ok: 1, recovered: 1, duplicated: 1, ..one }),
            (&[(1, Refused)], &[], one),
            (&[(1, Refused)], &[1], Counts { unexpected: 1, ..one }),
            (&[], &[9], Counts { unexpected: 1, ..none }),
            (&[], &[9, 9], Counts { unexpected: 1, duplicated: 1, ..none }),
        ] {
            assert_eq!(counts(attempts, seen), expected, "{attempts:?} {seen:?}");
        }
    }

    /// The example of the README of rabbitmq/jepsen: 727 attempts, 725 acknowledged, 726 ok, 0 lost, 1 recovered.
    #[test]
    fn the_example_of_jepsen_comes_out_as_there() {
        let attempts = (0..727).map(|key| (key, if key < 725 { Acknowledged } else { Unsure }));
        let counted = account(attempts, 0..726).counts;
        let expected =
            Counts { attempted: 727, acknowledged: 725, ok: 726, recovered: 1, ..Counts::default() };
        assert_eq!(counted, expected);
    }

    #[test]
    #[should_panic(expected = "share the key")]
    fn a_key_that_two_attempts_share_is_a_fault_of_the_load() {
        counts(&[(1, Acknowledged), (1, Unsure)], &[]);
    }

    fn attempts() -> impl Strategy<Value = BTreeMap<u8, Outcome>> {
        let outcome = prop_oneof![Just(Acknowledged), Just(Refused), Just(Unsure)];
        proptest::collection::btree_map(0..40_u8, outcome, 0..40)
    }

    fn seen() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(0..50_u8, 0..120)
    }

    proptest! {
        #[test]
        fn nothing_that_was_seen_is_left_uncounted_and_order_does_not_matter(attempts in attempts(), seen in seen()) {
            let settled = account(attempts.clone(), seen.clone());
            let counts = settled.counts;
            prop_assert_eq!(counts.ok + counts.unexpected + counts.duplicated, seen.len());
            prop_assert_eq!(counts.ok - counts.recovered + counts.lost, counts.acknowledged);
            let backwards: Vec<u8> = seen.into_iter().rev().collect();
            prop_assert_eq!(account(attempts, backwards), settled);
        }

        #[test]
        fn an_acknowledged_key_that_vanishes_is_lost_and_nothing_else_changes(attempts in attempts(), seen in seen()) {
            let before = account(attempts.clone(), seen.clone());
            for (key, outcome) in &attempts {
                let without: Vec<u8> = seen.iter().copied().filter(|other| other != key).collect();
                let vanished = seen.len() - without.len();
                let after = account(attempts.clone(), without);
                let newly_lost = usize::from(vanished > 0 && *outcome == Acknowledged);
                prop_assert_eq!(after.counts.lost, before.counts.lost + newly_lost);
                prop_assert_eq!(after.counts.duplicated, before.counts.duplicated - vanished.saturating_sub(1));
                prop_assert_eq!(after.lost.contains(key), *outcome == Acknowledged);
            }
        }

        #[test]
        fn one_more_copy_of_what_came_out_is_one_more_duplicate(attempts in attempts(), mut seen in seen()) {
            prop_assume!(!seen.is_empty());
            let before = account(attempts.clone(), seen.clone());
            let key = seen[0];
            seen.push(key);
            let after = account(attempts, seen);
            prop_assert!(after.duplicated.contains(&key));
            prop_assert_eq!(Counts { duplicated: before.counts.duplicated, ..after.counts }, before.counts);
            prop_assert_eq!(after.counts.duplicated, before.counts.duplicated + 1);
        }
    }
}
