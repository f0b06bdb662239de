//! `GET /api/sessions/` and `DELETE /api/sessions/{id}/`: one's own sessions, and for staff anybody's.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::contracts::auth::AccessDenial;
use shared::ids::{SessionId, UserId};
use utoipa::ToSchema;

use crate::middleware::{Endpoint, RequestContext};
use crate::problem::{FieldErrors, Problem};
use crate::sessions::{self, RevokeError, SignedIn, tell_denied};
use crate::state::AppState;

/// What OPTIONS tells of the list.
pub const SESSIONS: Endpoint = Endpoint {
    name: "Session List",
    description: "Lists your active sessions, newest first; staff may ask for another user's with ?user_id=.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of one.
pub const SESSION: Endpoint = Endpoint {
    name: "Session Instance",
    description: "Ends one of your sessions; staff may end anybody's.",
    methods: &["DELETE"],
    fields: &[],
};

/// A session as it is answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    #[schema(value_type = i64)]
    user_id: UserId,
    login_time: DateTime<Utc>,
    #[schema(value_type = Option<String>, required)]
    ip: Option<std::net::IpAddr>,
    #[schema(required)]
    user_agent: Option<String>,
    is_current: bool,
}

/// 200 with a bare array; 403 for another's if one is not staff.
pub async fn list(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<SessionBody>>, Problem> {
    let query = query.unwrap_or_default();
    // The last of several counts, as in a form: whoever asks for another's list is never given his own for it.
    let asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "user_id").last();
    let asked = asked.map(|(_, value)| value);
    let user = match asked.as_deref().map(str::parse) {
        None => who.user_id,
        Some(Ok(id)) => UserId(id),
        Some(Err(_)) => return Err(wrong_user_id()),
    };
    if user != who.user_id && !who.is_staff {
        tell_denied(&state, &context, &who, AccessDenial::NotStaff, format!("users/{user}/sessions")).await?;
        return Err(Problem::permission_denied());
    }
    let sessions = sessions::list_sessions(&state, user).await?.into_iter().map(|session| SessionBody {
        is_current: who.session_id == Some(session.id),
        id: session.id,
        user_id: session.user_id,
        login_time: session.login_time,
        ip: session.ip,
        user_agent: session.user_agent,
    });
    Ok(Json(sessions.collect()))
}

pub(super) fn wrong_user_id() -> Problem {
    let mut errors = FieldErrors::new();
    errors.add("user_id", "A valid integer is required.");
    Problem::field_errors(errors)
}

/// 204; 404 if there is no such active session, or it is another's and one is not staff.
pub async fn end(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    id: Result<Path<SessionId>, axum::extract::rejection::PathRejection>,
) -> Result<StatusCode, Problem> {
    let Ok(Path(session)) = id else { return Err(Problem::not_found()) };
    sessions::revoke_session(&state, &context, &who, session).await.map_err(|error| match error {
        RevokeError::NotFound => Problem::not_found(),
        RevokeError::Fault(fault) => fault.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
