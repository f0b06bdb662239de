//! `GET /api/jobs/runs/`, `GET /api/jobs/runs/{id}/`, and `POST` to its `replay/` and `cancel/`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Json;
use shared::control::{self, Cancel, Replay, RunDeed, RunRow};
use uuid::Uuid;

use super::fields::reason;
use super::told;
use crate::extract::Body;
use crate::fault::Fault;
use crate::jobs::{RunPlace, RunsAsked, operation};
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::{SignedIn, staff_only};
use crate::state::AppState;

type RunPath = Result<Path<Uuid>, PathRejection>;

/// 200 with a bare array without outputs, and where the next page is in `Link`.
pub async fn list(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Vec<RunRow>>), Problem> {
    staff_only(&state, &context, &who, "jobs/runs".to_owned()).await?;
    let asked = RunsAsked::of(query.as_deref())?;
    let limit = usize::from(asked.limit);
    let found = control::list_runs(&state.database, &asked.filter, i64::from(asked.limit) + 1).await;
    let mut runs = found.map_err(Fault::from)?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let last = runs.last().filter(|_| more).map(RunPlace::from);
    let link = last.map(|last| format!("</api/jobs/runs/?{}>; rel=\"next\"", asked.next(last)));
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    Ok((link.into_iter().map(|link| (header::LINK, link)).collect(), Json(runs)))
}

/// 200 with the run, or 404.
pub async fn show(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: RunPath,
) -> Result<Json<RunRow>, Problem> {
    let (id, _) = run_asked_for(&state, &context, &who, path, "").await?;
    find(&state, id).await.map(Json)
}

/// 200 with the run as it is then; 409 if it has not failed.
pub async fn replay(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: RunPath,
    body: Result<Body, Problem>,
) -> Result<Json<RunRow>, Problem> {
    let (id, object) = run_asked_for(&state, &context, &who, path, "/replay").await?;
    let Body(fields) = body?;
    act(&state, &context, (&who, reason(&fields)?), (id, object), Replay).await
}

/// 200 with the run as it is then: one that runs ends within seconds. 409 if it is over.
pub async fn cancel(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: RunPath,
    body: Result<Body, Problem>,
) -> Result<Json<RunRow>, Problem> {
    let (id, object) = run_asked_for(&state, &context, &who, path, "/cancel").await?;
    let Body(fields) = body?;
    act(&state, &context, (&who, reason(&fields)?), (id, object), Cancel).await
}

async fn act(
    state: &AppState,
    context: &RequestContext,
    (who, reason): (&SignedIn, String),
    (id, object): (Uuid, String),
    deed: impl RunDeed + Send + Sync,
) -> Result<Json<RunRow>, Problem> {
    find(state, id).await?;
    let operation = operation(context, who, reason);
    let deeds = control::act_on_runs(&state.database, &state.outbox, &operation, &[id], deed).await;
    match told(state, context, who, deeds, object).await?.pop() {
        Some(deed) if deed.done => find(state, id).await.map(Json),
        // Nobody deletes a run while somebody looks at it but the one that purges old ones.
        deed => Err(Problem::conflict(&deed.and_then(|deed| deed.note).unwrap_or_default())),
    }
}

async fn find(state: &AppState, id: Uuid) -> Result<RunRow, Problem> {
    let found = control::find_run(&state.database, id).await.map_err(Fault::from)?;
    found.ok_or_else(Problem::not_found)
}

/// The run in the path, and by which name the trail knows what is asked for; for staff: whether it is there is nobody else's business.
async fn run_asked_for(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    path: RunPath,
    action: &str,
) -> Result<(Uuid, String), Problem> {
    let id = path.ok().map(|Path(id)| id);
    let object = id.map_or_else(|| "jobs/runs".to_owned(), |id| format!("jobs/runs/{id}{action}"));
    staff_only(state, context, who, object.clone()).await?;
    id.map(|id| (id, object)).ok_or_else(Problem::not_found)
}
