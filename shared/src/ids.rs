//! Every identifier of Warren, each with its own type, in one list: a session id can't be used as a user id.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! identifiers {
    ($($(#[$docs:meta])* $name:ident($inner:ty);)+) => {$(
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl std::str::FromStr for $name {
            type Err = <$inner as std::str::FromStr>::Err;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

identifiers! {
    /// An account: `users.id`.
    UserId(i64);
    /// A login and what follows from it: `user_sessions.id`, a UUIDv7.
    SessionId(Uuid);
    /// A task of a user: `tasks.id`.
    TaskId(i64);
    /// A message on the wire, its outbox row and its audit row: a UUIDv7 whose first 48 bits are the millisecond
    /// of the fact.
    EventId(Uuid);
    /// One job for one tick: `job_runs.id`.
    RunId(Uuid);
    /// One HTTP request, as in the `X-Request-Id` header.
    RequestId(Uuid);
}

impl EventId {
    /// The first id of an instant's millisecond: ids of events before it are less, all others are not. Instants before
    /// 1970 have the very first.
    pub fn first_at(instant: DateTime<Utc>) -> Self {
        let milliseconds = u64::try_from(instant.timestamp_millis()).unwrap_or(0);
        Self(Uuid::from_u128(u128::from(milliseconds) << 80))
    }

    /// The millisecond in which the fact arose; none if this is no UUIDv7.
    pub fn arose_at(self) -> Option<DateTime<Utc>> {
        let milliseconds = i64::try_from(self.0.as_u128() >> 80).ok()?;
        (self.0.get_version_num() == 7).then(|| DateTime::from_timestamp_millis(milliseconds))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn the_first_id_of_an_instant_divides_what_was_before_from_what_was_not() {
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        let first = EventId::first_at(at(1_763_700_000_123_456));
        let id = |micros| EventId(Entropy::system().uuid_v7(at(micros)));
        assert!(id(1_763_700_000_122_999) < first);
        assert!(id(1_763_700_000_123_000) >= first, "ids know milliseconds alone");
        assert_eq!(EventId::first_at(at(-1)).0, Uuid::nil());
        assert_eq!(id(1_763_700_000_123_999).arose_at(), Some(at(1_763_700_000_123_000)));
        assert_eq!(EventId(Entropy::system().uuid_v4()).arose_at(), None);
    }
}
