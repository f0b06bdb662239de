//! `POST /api/tasks/`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Json;
use shared::telemetry::error_chain;

use super::body::TaskBody;
use super::fields;
use crate::extract::{Body, FieldCheck};
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::{self, BadKey, CreateOnceError, CreateTaskError, Created, IdempotencyKey, NewTask};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is said while the first of two such requests is under way.
pub(super) const IN_FLIGHT: &str = "A request with this Idempotency-Key is still being processed. Try again.";

/// 201 with the task, or 400. With an `Idempotency-Key` the same request gets the same answer for a day; 422 if the key
/// was used for another, 409 if such a request is still under way after two seconds.
pub async fn create(
    State(state): State<AppState>,
    context: RequestContext,
    caller: SignedIn,
    headers: HeaderMap,
    Body(fields): Body,
) -> Result<(StatusCode, HeaderMap, Json<TaskBody>), Problem> {
    let mut check = FieldCheck::new(&fields);
    let (title, duration) = (fields::title(&mut check), fields::duration(&mut check));
    let key = key_of(&headers).map_err(|refused| check.refuse("Idempotency-Key", refused.to_string()));
    check.finish()?;
    let (Some(title), Some(duration), Ok(key)) = (title, duration, key) else {
        return Err(Problem::internal());
    };
    let task = NewTask { title, duration };
    let mut headers = HeaderMap::new();
    let task = match key {
        None => tasks::create(&state, &context, &caller, task).await.map_err(problem)?,
        Some(key) => {
            let made = tasks::create_once(&state, &context, &caller, &key, task).await;
            let Created { task, replayed } = made.map_err(problem_with_key)?;
            if replayed {
                headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            }
            task
        }
    };
    Ok((StatusCode::CREATED, headers, Json(task.into())))
}

fn key_of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, BadKey> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => key.to_str().map_err(|_| BadKey)?.parse().map(Some),
        (Some(_), Some(_)) => Err(BadKey),
    }
}

fn problem(error: CreateTaskError) -> Problem {
    match error {
        CreateTaskError::UserGone => Problem::user_not_found(),
        CreateTaskError::Fault(fault) => fault.into(),
    }
}

fn problem_with_key(error: CreateOnceError) -> Problem {
    match error {
        CreateOnceError::OtherRequest => Problem::idempotency_key_reused(),
        CreateOnceError::InFlight => Problem::conflict(IN_FLIGHT),
        CreateOnceError::UserGone => Problem::user_not_found(),
        unreadable @ CreateOnceError::Unreadable(_) => {
            tracing::error!(error = error_chain(&unreadable), "a request met a fault");
            Problem::internal()
        }
        CreateOnceError::Fault(fault) => fault.into(),
    }
}
