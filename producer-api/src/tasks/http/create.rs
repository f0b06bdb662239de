//! `POST /api/tasks/`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use shared::task_duration::TaskDuration;

use super::body::TaskBody;
use crate::extract::{Body, FieldCheck};
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::{self, CreateTaskError, NewTask, TaskTitle};

/// The longest duration, in days.
const DAYS_MAX: i64 = 366;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// 201 with the task, or 400.
pub async fn create(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    Body(fields): Body,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    let mut check = FieldCheck::new(&fields);
    let title = check.text("title");
    let title = if check.refused("title") { None } else { Some(TaskTitle::parse(&title)) };
    let duration = check.text("duration");
    let duration = if check.refused("duration") { None } else { Some(parse_duration(&duration)) };
    match (title, duration) {
        (Some(Ok(title)), Some(Ok(duration))) => {
            match tasks::create(&state, &context, caller, NewTask { title, duration }).await {
                Ok(task) => Ok((StatusCode::CREATED, Json(task.into()))),
                Err(CreateTaskError::UserGone) => Err(Problem::user_not_found()),
                Err(CreateTaskError::Fault(fault)) => Err(fault.into()),
            }
        }
        (title, duration) => {
            title.and_then(Result::err).into_iter().for_each(|fault| check.refuse("title", fault));
            duration.and_then(Result::err).into_iter().for_each(|fault| check.refuse("duration", fault));
            Err(check.finish().err().unwrap_or_else(Problem::internal))
        }
    }
}

fn parse_duration(text: &str) -> Result<TaskDuration, String> {
    let duration = TaskDuration::parse(text)
        .ok_or("Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].")?;
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
