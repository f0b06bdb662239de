//! Which key of a row of keys signs, and which still verify: a pure function of their times.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A new key is shown at once and signs this much later: by then every replica has read it and no cache of the key set
/// is without it.
pub(super) const SIGNS_AFTER: TimeDelta = TimeDelta::seconds(60);

/// A replica that has not yet seen a new key goes on signing with the old one; so the old one verifies this much longer
/// than its last token lives.
pub(super) const VERIFIES_LONGER: TimeDelta = TimeDelta::seconds(60);

/// What holds at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The key that signs.
    pub(super) signer: usize,
    /// The keys that verify; those before are retired.
    pub(super) verifiers: Range<usize>,
    /// When something else will hold, if ever.
    pub(super) until: Option<DateTime<Utc>>,
}

/// The plan at `now` for keys that appeared at `appeared`, oldest first; there must be one. `longest` is the longest
/// lifetime of a token.
pub(super) fn plan(appeared: &[DateTime<Utc>], now: DateTime<Utc>, longest: Duration) -> Plan {
    let mut plan = Plan { signer: 0, verifiers: 0..appeared.len(), until: None };
    for (index, appeared) in appeared.iter().enumerate().skip(1) {
        let begins = signs_from(*appeared);
        if begins <= now {
            plan.signer = index;
        }
        // An instant that no calendar has never comes.
        let ends = predecessor_ends(begins, longest);
        if ends.is_some_and(|ends| ends <= now) {
            plan.verifiers.start = index;
        }
        for instant in [Some(begins), ends].into_iter().flatten().filter(|instant| *instant > now) {
            plan.until = Some(plan.until.map_or(instant, |earliest| earliest.min(instant)));
        }
    }
    plan
}

/// When a key signs that appeared at `appeared` and is not the first.
pub(super) fn signs_from(appeared: DateTime<Utc>) -> DateTime<Utc> {
    appeared.checked_add_signed(SIGNS_AFTER).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// When the key before one that signs from `begins` is retired; `None` if no calendar has that day.
pub(super) fn predecessor_ends(begins: DateTime<Utc>, longest: Duration) -> Option<DateTime<Utc>> {
    let longest = TimeDelta::from_std(longest).ok()?;
    begins.checked_add_signed(longest)?.checked_add_signed(VERIFIES_LONGER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_key_signs_after_a_minute_and_its_predecessor_verifies_until_its_last_token_is_out() {
        // A key of long ago, and one that appears at 0: it signs from 60, the old one verifies until 60 + 3600 + 60.
        let keys = [at(-100_000), at(0)];
        for (now, signer, verifiers, until) in [
            (-50, 0, 0..2, Some(60)),
            (0, 0, 0..2, Some(60)),
            (59, 0, 0..2, Some(60)),
            (60, 1, 0..2, Some(3720)),
            (3719, 1, 0..2, Some(3720)),
            (3720, 1, 1..2, None),
        ] {
            let until = until.map(at);
            assert_eq!(plan(&keys, at(now), HOUR), Plan { signer, verifiers, until }, "{now}");
        }
    }

    #[test]
    fn without_a_key_that_is_old_enough_the_oldest_signs() {
        assert_eq!(plan(&[at(0)], at(0), HOUR), Plan { signer: 0, verifiers: 0..1, until: None });
        assert_eq!(plan(&[at(0), at(1), at(2)], at(2), HOUR).signer, 0);
        assert_eq!(plan(&[at(0), at(1), at(2)], at(61), HOUR).signer, 1);
        assert_eq!(plan(&[at(0), at(1), at(2)], at(62), HOUR).signer, 2);
        let tie = [at(0), at(0)];
        assert_eq!(plan(&tie, at(1), HOUR).signer, 0);
        assert_eq!(plan(&tie, at(60), HOUR).signer, 1);
    }

    #[test]
    fn an_endless_lifetime_retires_no_key() {
        let keys = [DateTime::<Utc>::MIN_UTC, at(0), DateTime::<Utc>::MAX_UTC];
        let found = plan(&keys, at(1_000_000), Duration::MAX);
        assert_eq!((found.signer, found.verifiers), (1, 0..3));
    }

    proptest! {
        /// Two replicas whose pictures of the folder are up to twenty seconds old never refuse each other's tokens.
        #[test]
        fn whatever_one_replica_signs_another_verifies_until_it_runs_out(
            mut keys in prop::collection::vec(0_i64..20_000, 1..6),
            signed in 0_i64..30_000,
            signers_picture in 0_i64..=20,
            verifiers_picture in 0_i64..=20,
            age in 0_i64..3600,
        ) {
            keys.sort_unstable();
            // The first key is there before the replicas start.
            keys[0] = -100;
            let seen = |at_second: i64| {
                keys.iter().filter(|key| **key <= at_second).map(|key| at(*key)).collect::<Vec<_>>()
            };
            let judged = signed + age;
            let signer = plan(&seen(signed - signers_picture), at(signed), HOUR).signer;
            let judging = plan(&seen(judged - verifiers_picture), at(judged), HOUR);
            prop_assert!(judging.verifiers.contains(&signer), "{signer} {judging:?}");
        }

        #[test]
        fn nothing_changes_before_the_plan_says_so(
            mut keys in prop::collection::vec(0_i64..1_000, 1..6),
            now in 0_i64..6_000,
            later in 0_i64..6_000,
        ) {
            keys.sort_unstable();
            let keys: Vec<_> = keys.into_iter().map(at).collect();
            let present = plan(&keys, at(now), HOUR);
            let then = at(now + later);
            if present.until.is_none_or(|until| then < until) {
                prop_assert_eq!(plan(&keys, then, HOUR), present);
            }
        }
    }
}
