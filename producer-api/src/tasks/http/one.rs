//! `/api/tasks/{id}/`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use shared::ids::TaskId;

use super::body::TaskBody;
use super::fields;
use crate::extract::{Body, FieldCheck, Fields};
use crate::middleware::RequestContext;
use crate::problem::{FieldErrors, Problem};
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::{self, RenameTaskError, TaskChange};

type TaskPath = Result<Path<String>, PathRejection>;

/// 200 with the task; 404 for another's as for none.
pub async fn show(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    path: TaskPath,
) -> Result<Json<TaskBody>, Problem> {
    let task = tasks::find(&state, &context, &caller, task_asked_for(path)?).await?;
    task.map(|task| Json(task.into())).ok_or_else(Problem::not_found)
}

/// PATCH: 200 with the task as it is then. What is not sent stays; nothing but the title changes. As in Django, a task that
/// the caller doesn't have is 404 whatever is wrong with the fields.
pub async fn update(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    path: TaskPath,
    Body(fields): Body,
) -> Result<Json<TaskBody>, Problem> {
    change(&state, &context, &caller, path, (&fields, false)).await
}

/// PUT: as PATCH, but the title must be sent.
pub async fn replace(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    path: TaskPath,
    Body(fields): Body,
) -> Result<Json<TaskBody>, Problem> {
    change(&state, &context, &caller, path, (&fields, true)).await
}

/// 204, and the task is gone.
pub async fn delete(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    path: TaskPath,
) -> Result<StatusCode, Problem> {
    let deleted = tasks::delete(&state, &context, &caller, task_asked_for(path)?).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

async fn change(
    state: &AppState,
    context: &RequestContext,
    caller: &SignedIn,
    path: TaskPath,
    (fields, whole): (&Fields, bool),
) -> Result<Json<TaskBody>, Problem> {
    let id = task_asked_for(path)?;
    let mut check = FieldCheck::new(fields);
    let title = if whole { fields::title(&mut check) } else { fields::title_if_sent(&mut check, fields) };
    let duration = fields::duration_if_sent(&mut check, fields);
    if let Err(refused) = check.finish() {
        let found = tasks::find(state, context, caller, id).await?;
        return Err(if found.is_some() { refused } else { Problem::not_found() });
    }
    let renamed = tasks::rename(state, context, caller, id, TaskChange { title, duration }).await;
    renamed.map(|task| Json(task.into())).map_err(|error| match error {
        RenameTaskError::NotFound => Problem::not_found(),
        RenameTaskError::OtherDuration => other_duration(),
        RenameTaskError::Fault(fault) => fault.into(),
    })
}

/// 400 for a duration that is not the task's.
pub(super) fn other_duration() -> Problem {
    let mut errors = FieldErrors::new();
    errors.add("duration", "A task's duration can't be changed.");
    Problem::field_errors(errors)
}

/// The id in the path. Digits alone, as in Django's paths: what can't be an id is not looked for.
fn task_asked_for(path: TaskPath) -> Result<TaskId, Problem> {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    let id = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    id.filter(|id| *id > TaskId(0)).ok_or_else(Problem::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_id_and_nothing_else_is() {
        let read = |text: &str| task_asked_for(Ok(Path(text.to_owned()))).ok();
        for (text, id) in [("1", 1), ("007", 7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(read(text), Some(TaskId(id)), "{text}");
        }
        for text in [
            "",
            "0",
            "00",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "1_0",
            "9223372036854775808",
            "\0",
            "1\0",
            "٣",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
