//! `GET /api/tasks/`.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Json;

use super::body::TaskBody;
use crate::extract::{PageAsked, next_page};
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::{self, Page, Place, RECENT};

/// How many tasks a page has at the most.
pub(super) const LIMIT_MAX: u16 = 100;

/// 200 with a bare array, the last four unless more or fewer are asked for, and where the next page is in `Link`.
pub async fn list(
    State(state): State<AppState>,
    caller: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Vec<TaskBody>>), Problem> {
    let PageAsked { limit, after } = PageAsked::<Place>::of(query.as_deref(), RECENT, LIMIT_MAX)?;
    let Page { tasks, next } = tasks::list(&state, caller.user_id, after, limit).await?;
    let tasks = tasks.into_iter().map(TaskBody::from).collect();
    Ok((next_page("/api/tasks/", limit, next), Json(tasks)))
}
