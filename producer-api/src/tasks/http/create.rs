//! `POST /api/tasks/`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;

use super::body::TaskBody;
use super::fields;
use crate::extract::{Body, FieldCheck};
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::{self, CreateTaskError, NewTask};

/// 201 with the task, or 400.
pub async fn create(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    Body(fields): Body,
) -> Result<(StatusCode, Json<TaskBody>), Problem> {
    let mut check = FieldCheck::new(&fields);
    let (title, duration) = (fields::title(&mut check), fields::duration(&mut check));
    check.finish()?;
    let (Some(title), Some(duration)) = (title, duration) else { return Err(Problem::internal()) };
    match tasks::create(&state, &context, &caller, NewTask { title, duration }).await {
        Ok(task) => Ok((StatusCode::CREATED, Json(task.into()))),
        Err(CreateTaskError::UserGone) => Err(Problem::user_not_found()),
        Err(CreateTaskError::Fault(fault)) => Err(fault.into()),
    }
}
