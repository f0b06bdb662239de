//! `GET /api/jobs/schedules/`, `GET /api/jobs/schedules/{key}/`, and `POST` to what can be done to one.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Json;
use serde::Serialize;
use shared::control::{self, Override, Range, RunRow, Schedule, ScheduleInFull};
use utoipa::ToSchema;

use super::fields::{BackfillFields, OverrideFields, reason};
use super::told;
use crate::extract::Body;
use crate::fault::Fault;
use crate::jobs::{SchedulesAsked, operation};
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::{SignedIn, staff_only};
use crate::state::AppState;

/// Longer keys are not named where somebody is denied: he chose them.
const NAMED_CHARACTERS_MAX: usize = 100;

type KeyPath = Result<Path<String>, PathRejection>;

/// What was made up for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Backfilled {
    /// How many runs were made.
    runs: usize,
    /// How many instants had one already, whatever had become of it.
    there_already: usize,
}

/// 200 with a bare array, and where the next page is in `Link`.
pub async fn list(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Vec<Schedule>>), Problem> {
    staff_only(&state, &context, &who, "jobs/schedules".to_owned()).await?;
    let asked = SchedulesAsked::of(query.as_deref())?;
    let limit = usize::from(asked.limit);
    let place = (asked.after.as_deref(), i64::from(asked.limit) + 1);
    let found = control::list_schedules(&state.database, asked.with_retired, place).await;
    let mut schedules = found.map_err(Fault::from)?;
    let more = schedules.len() > limit;
    schedules.truncate(limit);
    let last = schedules.last().filter(|_| more);
    let link =
        last.map(|last| format!("</api/jobs/schedules/?{}>; rel=\"next\"", asked.next(&last.schedule_key)));
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    Ok((link.into_iter().map(|link| (header::LINK, link)).collect(), Json(schedules)))
}

/// 200 with the schedule, or 404.
pub async fn show(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
) -> Result<Json<ScheduleInFull>, Problem> {
    let (key, _) = key_asked_for(&state, &context, &who, path, "").await?;
    let found = control::find_schedule(&state.database, &key).await.map_err(Fault::from)?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// 200 with the schedule as it is then; 409 if it is paused already, or retired.
pub async fn pause(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<Json<ScheduleInFull>, Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/pause").await?;
    let Body(fields) = body?;
    let operation = operation(&context, &who, reason(&fields)?);
    let done = control::pause(&state.database, &state.outbox, &operation, &key).await;
    told(&state, &context, &who, done, object).await.map(Json)
}

/// 200 with the schedule as it is then; 409 if it is not paused.
pub async fn resume(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<Json<ScheduleInFull>, Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/resume").await?;
    let Body(fields) = body?;
    let operation = operation(&context, &who, reason(&fields)?);
    let AppState { database, outbox, entropy, .. } = &state;
    let done = control::resume(database, outbox, &operation, entropy, &key).await;
    told(&state, &context, &who, done, object).await.map(Json)
}

/// 200 with the schedule as it is then; 400 for what is no timetable or time zone, 409 for what would never be due.
pub async fn override_(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<Json<ScheduleInFull>, Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/override").await?;
    let Body(fields) = body?;
    let OverrideFields { timetable, time_zone, reason } = OverrideFields::read(&fields)?;
    let (operation, word) = (operation(&context, &who, reason), Override { timetable, time_zone });
    let AppState { database, outbox, entropy, .. } = &state;
    let done = control::override_timetable(database, outbox, &operation, entropy, (&key, &word)).await;
    told(&state, &context, &who, done, object).await.map(Json)
}

/// 200 with the schedule as it is then; 409 if it is due as the registry says already.
pub async fn reset(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<Json<ScheduleInFull>, Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/reset").await?;
    let Body(fields) = body?;
    let operation = operation(&context, &who, reason(&fields)?);
    let AppState { database, outbox, entropy, .. } = &state;
    let done = control::reset(database, outbox, &operation, entropy, &key).await;
    told(&state, &context, &who, done, object).await.map(Json)
}

/// 201 with the run.
pub async fn run(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<(StatusCode, Json<RunRow>), Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/run").await?;
    let Body(fields) = body?;
    let operation = operation(&context, &who, reason(&fields)?);
    let AppState { database, outbox, entropy, .. } = &state;
    let done = control::run_now(database, outbox, &operation, entropy, &key).await;
    let run = told(&state, &context, &who, done, object).await?;
    Ok((StatusCode::CREATED, Json(run)))
}

/// 200 with how many runs were made; 409 for instants that the schedule has still to answer, or too many of them.
pub async fn backfill(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: KeyPath,
    body: Result<Body, Problem>,
) -> Result<Json<Backfilled>, Problem> {
    let (key, object) = key_asked_for(&state, &context, &who, path, "/backfill").await?;
    let Body(fields) = body?;
    let BackfillFields { from, until, pace, reason } = BackfillFields::read(&fields)?;
    let operation = operation(&context, &who, reason);
    let AppState { database, outbox, entropy, .. } = &state;
    let range = Range { from, until, pace };
    let done = control::backfill(database, outbox, &operation, entropy, (&key, range)).await;
    let made = told(&state, &context, &who, done, object).await?;
    Ok(Json(Backfilled { runs: made.runs, there_already: made.there }))
}

/// The key in the path, and by which name the trail knows what is asked for; for staff: whether there is such a schedule is
/// nobody else's business.
async fn key_asked_for(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    path: KeyPath,
    action: &str,
) -> Result<(String, String), Problem> {
    // No key has a NUL, and no text of the database can.
    let key = path.ok().map(|Path(key)| key).filter(|key| !key.contains('\0'));
    let named = key.as_ref().filter(|key| key.chars().count() <= NAMED_CHARACTERS_MAX);
    let object =
        named.map_or_else(|| "jobs/schedules".to_owned(), |key| format!("jobs/schedules/{key}{action}"));
    staff_only(state, context, who, object.clone()).await?;
    key.map(|key| (key, object)).ok_or_else(Problem::not_found)
}
