//! A place in the list of somebody's tasks.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use shared::ids::TaskId;

use super::store::Task;

/// The last microsecond of the year 9999: PostgreSQL has all instants from 1970 until then.
const MICROSECONDS_MAX: i64 = 253_402_300_799_999_999;

/// Where a page ended. A task never changes its place, so that what is made or deleted meanwhile moves no other task to
/// another page; the task that stood there need not be there any more. As text it is a cursor: whose list it is a place of
/// is not in it, so one of another's list, or a made-up one, opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub(super) created_at: DateTime<Utc>,
    pub(super) id: TaskId,
}

/// A text that is no cursor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NotACursor;

impl From<&Task> for Place {
    fn from(task: &Task) -> Self {
        Self { created_at: task.created_at, id: task.id }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [self.created_at.timestamp_micros().to_be_bytes(), self.id.0.to_be_bytes()];
        formatter.write_str(&URL_SAFE_NO_PAD.encode(numbers.concat()))
    }
}

impl FromStr for Place {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let number = i128::from_be_bytes(bytes.ok_or(NotACursor)?);
        let micros =
            i64::try_from(number >> 64).ok().filter(|micros| (0..=MICROSECONDS_MAX).contains(micros));
        let id = i64::try_from(number & i128::from(u64::MAX)).ok().filter(|id| *id > 0);
        let created_at = micros.and_then(DateTime::from_timestamp_micros);
        match (created_at, id) {
            (Some(created_at), Some(id)) => Ok(Self { created_at, id: TaskId(id) }),
            _ => Err(NotACursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_reads_back_from_its_cursor(micros in 0..=MICROSECONDS_MAX, id in 1..=i64::MAX) {
            let place = Place { created_at: DateTime::from_timestamp_micros(micros).unwrap(), id: TaskId(id) };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn any_other_text_is_no_cursor(text in ".{0,40}") {
            if let Ok(place) = text.parse::<Place>() {
                prop_assert_eq!(place.to_string(), text);
            }
        }
    }

    #[test]
    fn instants_and_ids_that_no_task_has_are_refused() {
        let text =
            |micros: i64, id: i64| URL_SAFE_NO_PAD.encode([micros.to_be_bytes(), id.to_be_bytes()].concat());
        assert!(text(1, 1).parse::<Place>().is_ok());
        for (micros, id) in
            [(-1, 1), (i64::MIN, 1), (i64::MAX, 1), (MICROSECONDS_MAX + 1, 1), (1, 0), (1, -1)]
        {
            assert_eq!(text(micros, id).parse::<Place>(), Err(NotACursor), "{micros} {id}");
        }
        for text in ["", "A", "AAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAQ==", "AAAAAAAAAAAAAAAAAAAAAR", "1", "4,7"]
        {
            assert_eq!(text.parse::<Place>(), Err(NotACursor), "{text}");
        }
    }
}
