//! The fields of a task, as clients send them.

use shared::task_duration::TaskDuration;

use crate::extract::{FieldCheck, Fields};
use crate::tasks::TaskTitle;

/// The longest duration, in days.
const DAYS_MAX: i64 = 366;
/// The same in seconds.
pub(super) const SECONDS_MAX: i64 = DAYS_MAX * 86_400;
/// What is said of what is no duration.
pub(super) const NO_DURATION: &str =
    "Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].";
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// The title, which must be sent; `None` when it is refused.
pub(super) fn title(check: &mut FieldCheck<'_>) -> Option<TaskTitle> {
    let text = check.text("title");
    parsed(check, "title", || TaskTitle::parse(&text))
}

/// The duration, which must be sent; `None` when it is refused.
pub(super) fn duration(check: &mut FieldCheck<'_>) -> Option<TaskDuration> {
    let text = check.text("duration");
    parsed(check, "duration", || parse_duration(&text))
}

/// The title, if it was sent. In a form, too, an empty one was.
pub(super) fn title_if_sent(check: &mut FieldCheck<'_>, fields: &Fields) -> Option<TaskTitle> {
    fields.get("title").and_then(|_| title(check))
}

/// The duration, if it was sent.
pub(super) fn duration_if_sent(check: &mut FieldCheck<'_>, fields: &Fields) -> Option<TaskDuration> {
    fields.get("duration").and_then(|_| duration(check))
}

fn parsed<T>(check: &mut FieldCheck<'_>, field: &str, rule: impl FnOnce() -> Result<T, String>) -> Option<T> {
    if check.refused(field) {
        return None;
    }
    rule().map_err(|fault| check.refuse(field, fault)).ok()
}

fn parse_duration(text: &str) -> Result<TaskDuration, String> {
    let duration = TaskDuration::parse(text).ok_or(NO_DURATION)?;
    match duration.microseconds() {
        ..=0 => Err("Ensure this value is greater than zero.".to_owned()),
        microseconds if microseconds > DAYS_MAX * MICROSECONDS_PER_DAY => {
            Err(format!("Ensure this value is less than or equal to {DAYS_MAX} days."))
        }
        _ => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_positive_and_at_most_a_leap_year() {
        for text in ["1800", "00:30:00", "366 00:00:00", "0.5"] {
            assert!(parse_duration(text).is_ok(), "{text}");
        }
        for text in ["0", "-5", "soon", "366 00:00:01", "99999999999999999999"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
