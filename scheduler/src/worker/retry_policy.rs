//! What follows a failed attempt: another one after a while, or the end. Pure but for the drawn wait.

use std::time::Duration;

use shared::entropy::Entropy;
use shared::lifecycle::Backoff;

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again after this long.
    Retry(Duration),
    /// The attempts are used up, or another would fail the same way.
    GiveUp,
}

/// After attempt `attempt` of at most `attempts_max` has failed in a way that may pass.
pub fn after_failure(attempt: i32, attempts_max: i32, entropy: &Entropy) -> Next {
    if attempt >= attempts_max {
        return Next::GiveUp;
    }
    let failures_before = u32::try_from(attempt - 1).unwrap_or(0);
    Next::Retry(Backoff::new(FIRST_WAIT, LONGEST_WAIT).after(failures_before).next(entropy))
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
            let next = after_failure(attempt, attempts_max, &entropy);
            assert_eq!(matches!(next, Next::Retry(_)), again, "attempt {attempt} of {attempts_max}");
        }
    }

    #[test]
    fn waits_are_drawn_below_a_ceiling_that_doubles_up_to_ten_minutes() {
        let entropy = Entropy::seeded(2);
        for (attempt, ceiling) in [(1, 5), (2, 10), (3, 20), (5, 80), (9, 600), (1_000, 600)] {
            let mut longest = Duration::ZERO;
            for _ in 0..500 {
                let Next::Retry(wait) = after_failure(attempt, i32::MAX, &entropy) else {
                    panic!("attempts are left");
                };
                assert!(wait <= Duration::from_secs(ceiling), "{wait:?} after attempt {attempt}");
                longest = longest.max(wait);
            }
            assert!(longest > Duration::from_secs(ceiling) * 9 / 10, "full jitter reaches up to the ceiling");
        }
    }
}
