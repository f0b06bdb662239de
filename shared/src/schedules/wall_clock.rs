//! What clocks of a time zone show, and when: wall time to instants and back, by the IANA time zone database.
//!
//! A wall time that clocks jump over stands for the instant at which they do; one that they show twice for the first of both.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Clocks never change twice in such a time.
const STEP_SECONDS: i64 = 12 * 60 * 60;
/// More than any clock differs from UTC, and more than any ever jumped: Samoa left out a day.
const SLACK: TimeDelta = TimeDelta::hours(50);

/// What clocks show at `instant`.
pub(super) fn wall_at(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// The instant at which clocks first show `wall`, or at which they jump over it.
pub(super) fn first_instant(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(instant) => Some(instant.to_utc()),
        LocalResult::Ambiguous(one, other) => Some(one.to_utc().min(other.to_utc())),
        LocalResult::None => {
            let (mut from, until) = (wall.and_utc() - SLACK, wall.and_utc() + SLACK);
            loop {
                from = next_change(zone, from, until)?;
                if wall_at(zone, from) > wall {
                    return Some(from);
                }
            }
        }
    }
}

/// The first instant later than `from` and not later than `until` from which on clocks differ otherwise from UTC.
pub(super) fn next_change(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (mut low, until) = (from.timestamp(), until.timestamp());
    let before = offset(zone, low)?;
    while low < until {
        let mut high = until.min(low + STEP_SECONDS);
        if offset(zone, high)? == before {
            low = high;
            continue;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if offset(zone, middle)? == before { low = middle } else { high = middle }
        }
        return DateTime::from_timestamp(high, 0);
    }
    None
}

/// By how many seconds clocks are ahead of UTC at an instant in seconds since 1970.
fn offset(zone: Tz, seconds: i64) -> Option<i32> {
    let instant = DateTime::from_timestamp(seconds, 0)?;
    Some(zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_wall_time_is_the_first_instant_at_which_clocks_show_it_or_the_one_at_which_they_jump_over_it() {
        for (zone, shown, instant) in [
            ("UTC", "2026-03-08T02:30:00", "2026-03-08T02:30:00Z"),
            // Chicago's clocks go from 02:00 to 03:00, and in autumn from 02:00 to 01:00.
            ("America/Chicago", "2026-03-08T01:59:59", "2026-03-08T07:59:59Z"),
            ("America/Chicago", "2026-03-08T02:00:00", "2026-03-08T08:00:00Z"),
            ("America/Chicago", "2026-03-08T02:30:00", "2026-03-08T08:00:00Z"),
            ("America/Chicago", "2026-03-08T03:00:00", "2026-03-08T08:00:00Z"),
            ("America/Chicago", "2026-11-01T00:59:59", "2026-11-01T05:59:59Z"),
            ("America/Chicago", "2026-11-01T01:00:00", "2026-11-01T06:00:00Z"),
            ("America/Chicago", "2026-11-01T01:59:59", "2026-11-01T06:59:59Z"),
            ("America/Chicago", "2026-11-01T02:00:00", "2026-11-01T08:00:00Z"),
            // By half an hour.
            ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00Z"),
            ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z"),
            // At midnight, by a whole day.
            ("Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59Z"),
            ("Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-30T17:00:00", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"),
            // Back for a month, and on again.
            ("Africa/Casablanca", "2026-02-15T02:30:00", "2026-02-15T01:30:00Z"),
            ("Africa/Casablanca", "2026-03-22T02:30:00", "2026-03-22T02:00:00Z"),
        ] {
            let found = first_instant(zone.parse().unwrap(), wall(shown)).unwrap();
            assert_eq!(found, instant.parse::<DateTime<Utc>>().unwrap(), "{zone} {shown}");
        }
    }

    #[test]
    fn changes_of_clocks_are_found_wherever_one_begins_to_look() {
        let (zone, change) = (chrono_tz::America::Chicago, "2026-11-01T07:00:00Z".parse().unwrap());
        let hours = |hours| change + TimeDelta::hours(hours);
        for (from, until, found) in [
            (-1, 0, Some(change)),
            (-1, 1, Some(change)),
            (-6_000, 5_000, None),
            (-4_000, 1, Some(change)),
            (-1, -1, None),
            (0, 3_000, None),
        ] {
            let next = next_change(zone, hours(from), hours(until));
            if from == -6_000 {
                assert!(next.is_some_and(|next| next < change), "spring's comes first: {next:?}");
            } else {
                assert_eq!(next, found, "{from} {until}");
            }
        }
    }
}
