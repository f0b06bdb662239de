//! `GET /api/tasks/`.

use axum::extract::State;
use axum::response::Json;

use super::body::TaskBody;
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::list_recent;

/// 200 with a bare array of at most four.
pub async fn list(State(state): State<AppState>, caller: SignedIn) -> Result<Json<Vec<TaskBody>>, Problem> {
    let tasks = list_recent(&state, caller.user_id).await?;
    Ok(Json(tasks.into_iter().map(TaskBody::from).collect()))
}
