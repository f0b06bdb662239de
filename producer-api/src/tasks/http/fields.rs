//! The fields of a task, as clients send them.

use shared::task_duration::{NotADuration, TaskDuration};

use crate::extract::{FieldCheck, Fields};
use crate::tasks::TaskTitle;

/// The longest duration, in days.
const DAYS_MAX: i64 = 366;
/// The same in seconds.
pub(super) const SECONDS_MAX: i64 = DAYS_MAX * 86_400;
/// DRF's own, of what is no duration.
pub(super) const NO_DURATION: &str =
    "Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].";
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// DRF's own.
const TOO_MANY_DAYS: &str = "The number of days must be between -999999999 and 999999999.";
const TOO_SHORT: &str = "Ensure this value is greater than zero.";

/// The title, which must be sent; `None` when it is refused.
pub(super) fn title(check: &mut FieldCheck<'_>) -> Option<TaskTitle> {
    let text = check.text("title");
    if check.refused("title") {
        return None;
    }
    TaskTitle::parse(&text).map_err(|fault| check.refuse("title", fault)).ok()
}

/// The duration, which must be sent; `None` when it is refused.
pub(super) fn duration(check: &mut FieldCheck<'_>) -> Option<TaskDuration> {
    let text = check.as_python_str("duration")?;
    parse_duration(&text).map_err(|fault| check.refuse("duration", fault)).ok()
}

/// The title, if it was sent. In a form, too, an empty one was.
pub(super) fn title_if_sent(check: &mut FieldCheck<'_>, fields: &Fields) -> Option<TaskTitle> {
    fields.get("title").and_then(|_| title(check))
}

/// The duration, if it was sent.
pub(super) fn duration_if_sent(check: &mut FieldCheck<'_>, fields: &Fields) -> Option<TaskDuration> {
    fields.get("duration").and_then(|_| duration(check))
}

fn parse_duration(text: &str) -> Result<TaskDuration, String> {
    let duration = TaskDuration::parse(text).map_err(|fault| match fault {
        NotADuration::WrongFormat => NO_DURATION,
        NotADuration::TooManyDays => TOO_MANY_DAYS,
    })?;
    match duration.microseconds() {
        ..=0 => Err(TOO_SHORT.to_owned()),
        microseconds if microseconds > DAYS_MAX * MICROSECONDS_PER_DAY => {
            Err(format!("Ensure this value is less than or equal to {DAYS_MAX} days."))
        }
        _ => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;
    use crate::extract::fields_of_json;

    const TOO_LONG: &str = "Ensure this value is less than or equal to 366 days.";

    /// What DRF makes of a JSON value: `test-support` holds the table against the real one.
    #[derive(Deserialize)]
    struct OfDrf {
        sent: String,
        written: Option<String>,
        refused: Option<String>,
    }

    /// How a duration that was sent is written, or with what text it is refused.
    async fn read(sent: &str) -> Result<String, String> {
        let fields = fields_of_json(format!(r#"{{"duration": {sent}}}"#).as_bytes()).unwrap();
        let mut check = FieldCheck::new(&fields);
        let ours = duration(&mut check).map(|read| read.to_string());
        let Err(problem) = check.finish() else { return Ok(ours.unwrap()) };
        assert_eq!(ours, None);
        let body = problem.into_response().into_body().collect().await.unwrap().to_bytes();
        let errors: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(errors["duration"].as_array().unwrap().len(), 1, "{errors}");
        Err(errors["duration"][0].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_duration_is_read_written_and_refused_as_by_drf_within_limits_of_our_own() {
        let table: Vec<OfDrf> = serde_json::from_str(include_str!("../../../tests/durations.json")).unwrap();
        assert!(table.len() > 80, "{}", table.len());
        for OfDrf { sent, written, refused } in table {
            match read(&sent).await {
                Ok(ours) => assert_eq!(Some(ours), written, "{sent}"),
                // DRF's field without limits would take it.
                Err(fault) if [TOO_SHORT, TOO_LONG].contains(&fault.as_str()) => {
                    let written = written.unwrap();
                    let (days, clock) = written.split_once(' ').unwrap_or(("0", &written));
                    let days: i64 = days.parse().unwrap();
                    assert_eq!(fault == TOO_SHORT, days < 0 || (days, clock) == (0, "00:00:00"), "{sent}");
                    assert!(fault == TOO_SHORT || days >= DAYS_MAX, "{sent} is not too long: {written}");
                }
                Err(fault) => assert_eq!(Some(fault), refused, "{sent}"),
            }
        }
    }

    #[test]
    fn a_duration_is_positive_and_at_most_a_leap_year() {
        for text in ["1800", "00:30:00", "366 00:00:00", "0.000001"] {
            assert!(parse_duration(text).is_ok(), "{text}");
        }
        for text in ["0", "-5", "soon", "366 00:00:00.000001", "99999999999999999999"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
