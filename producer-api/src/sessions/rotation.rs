//! What a refresh token is worth that is on the blacklist already. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::contracts::auth::BlacklistReason;

use crate::tokens::{Blacklisted, Successor};

/// What to make of a token that was used or ended before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SecondUse {
    /// A second tab, or a client that lost the answer: the same successor again.
    Forgiven,
    /// Somebody holds a copy.
    Reuse,
    /// It was ended, not exchanged.
    Ended,
}

/// Judges the use at `now` of a token that is on the blacklist. The time of grace runs from the first exchange and does
/// not slide; it is over as soon as the successor was used itself.
pub(super) fn second_use(
    blacklisted: &Blacklisted,
    successor: Option<&Successor>,
    grace: Duration,
    now: DateTime<Utc>,
) -> SecondUse {
    if blacklisted.reason != BlacklistReason::Rotated.as_str() {
        return SecondUse::Ended;
    }
    let grace = TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
    let in_time = now < blacklisted.at + grace;
    if in_time && successor.is_some_and(|successor| successor.unused) {
        SecondUse::Forgiven
    } else {
        SecondUse::Reuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000 + seconds, 0).unwrap()
    }

    fn judged(reason: &str, unused: Option<bool>, grace: u64, now: i64) -> SecondUse {
        let blacklisted = Blacklisted { reason: reason.to_owned(), at: at(0), successor_id: Some(1) };
        let successor = unused.map(|unused| Successor {
            jti: "n".to_owned(),
            created_at: at(0),
            expires_at: at(9),
            unused,
        });
        second_use(&blacklisted, successor.as_ref(), Duration::from_secs(grace), at(now))
    }

    #[test]
    fn only_a_fresh_exchange_with_an_unused_successor_is_forgiven() {
        for (reason, unused, grace, now, expected) in [
            ("rotated", Some(true), 10, 0, SecondUse::Forgiven),
            ("rotated", Some(true), 10, 9, SecondUse::Forgiven),
            ("rotated", Some(true), 10, 10, SecondUse::Reuse),
            ("rotated", Some(true), 0, 0, SecondUse::Reuse),
            ("rotated", Some(false), 10, 1, SecondUse::Reuse),
            ("rotated", None, 10, 1, SecondUse::Reuse),
            ("logout", Some(true), 10, 1, SecondUse::Ended),
            ("replaced", None, 10, 1, SecondUse::Ended),
            ("reuse", None, 10, 1, SecondUse::Ended),
        ] {
            assert_eq!(judged(reason, unused, grace, now), expected, "{reason} {unused:?} {grace} {now}");
        }
    }
}
