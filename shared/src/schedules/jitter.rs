//! How much later than its instants a schedule is due, so that not all begin in the same second. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;

/// The same for a key at all times and in every program: whole seconds from none to `jitter_seconds`.
pub fn offset(schedule_key: &str, jitter_seconds: i32) -> TimeDelta {
    let places = u64::try_from(jitter_seconds).unwrap_or(0) + 1;
    let hash = digest(&SHA256, schedule_key.as_bytes());
    let number = hash.as_ref().iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    TimeDelta::seconds(i64::try_from(number % places).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_and_each_stays_where_it_is() {
        assert_eq!(offset("any", 0), TimeDelta::zero());
        assert_eq!(offset("any", -1), TimeDelta::zero());
        let mut counts = [0; 60];
        for number in 0..6_000 {
            let key = format!("job-{number}");
            let second = offset(&key, 59).num_seconds();
            assert_eq!(offset(&key, 59).num_seconds(), second);
            counts[usize::try_from(second).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (50..170).contains(count)), "{counts:?}");
    }

    /// A change of it would move every schedule.
    #[test]
    fn a_key_has_had_the_same_place_since_the_first_version() {
        assert_eq!(offset("print-user-tasks", 59), TimeDelta::seconds(3));
    }
}
