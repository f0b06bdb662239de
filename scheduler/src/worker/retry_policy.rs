//! What follows a failed attempt: another one after a while, or the end. Pure but for the drawn wait.

use std::time::Duration;

use shared::entropy::Entropy;
use shared::lifecycle::Backoff;

/// How often a run is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts it had before somebody gave it new ones.
    pub attempts_before: i32,
    /// How many since don't count.
    pub attempts_uncounted: i32,
    /// The last attempt it may have.
    pub attempts_max: i32,
    /// What the first wait is drawn below; it doubles with each further failure.
    pub first_wait: Duration,
    /// What it doubles up to.
    pub longest_wait: Duration,
}

impl RetryPolicy {
    /// As the columns of a run have it: the attempts before, uncounted and at most; the waits.
    pub fn new(
        (attempts_before, attempts_uncounted, attempts_max): (i32, i32, i32),
        backoff_seconds: i32,
        backoff_max_seconds: i32,
    ) -> Self {
        let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1));
        let (first_wait, longest_wait) = (seconds(backoff_seconds), seconds(backoff_max_seconds));
        Self { attempts_before, attempts_uncounted, attempts_max, first_wait, longest_wait }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this long.
    Retry(Duration),
    /// The attempts are used up, or another would fail the same way.
    GiveUp,
}

/// After attempt `attempt` has failed in a way that may pass.
pub fn after_failure(attempt: i32, policy: &RetryPolicy, entropy: &Entropy) -> Next {
    if attempt >= policy.attempts_max {
        return Next::GiveUp;
    }
    let failures_before =
        u32::try_from(attempt - policy.attempts_before - policy.attempts_uncounted - 1).unwrap_or(0);
    Next::Retry(Backoff::new(policy.first_wait, policy.longest_wait).after(failures_before).next(entropy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_tried_as_often_as_it_may_be_and_no_more() {
        let entropy = Entropy::seeded(1);
        for (attempt, attempts_max, again) in
            [(1, 3, true), (2, 3, true), (3, 3, false), (4, 3, false), (1, 1, false)]
        {
            let next = after_failure(attempt, &RetryPolicy::new((0, 0, attempts_max), 5, 600), &entropy);
            assert_eq!(matches!(next, Next::Retry(_)), again, "attempt {attempt} of {attempts_max}");
        }
    }

    #[test]
    fn waits_are_drawn_below_a_ceiling_that_doubles_up_to_ten_minutes() {
        let entropy = Entropy::seeded(2);
        for (before, attempt, ceiling) in [
            (0, 1, 5),
            (0, 2, 10),
            (0, 3, 20),
            (0, 5, 80),
            (0, 9, 600),
            (0, 1_000, 600),
            (25, 26, 5),
            (25, 27, 10),
        ] {
            let policy = RetryPolicy::new((before, 0, i32::MAX), 5, 600);
            let mut longest = Duration::ZERO;
            for _ in 0..500 {
                let Next::Retry(wait) = after_failure(attempt, &policy, &entropy) else {
                    panic!("attempts are left");
                };
                assert!(wait <= Duration::from_secs(ceiling), "{wait:?} after attempt {attempt}");
                longest = longest.max(wait);
            }
            assert!(longest > Duration::from_secs(ceiling) * 9 / 10, "full jitter reaches up to the ceiling");
        }
    }
}
