//! The session of a browser: the API's login, refresh and logout, with the refresh token in a cookie.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use shared::ids::UserId;
use utoipa::ToSchema;

use super::own_origin::OfOwnOrigin;
use crate::extract::Body;
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::http::{begin, refresh_refused};
use crate::sessions::{self, Bearer, LogOutError, LoggedIn, RefreshError, Shown, Wanted, bearer};
use crate::state::AppState;
use crate::tokens::Claims;

/// What a window keeps in its memory.
#[derive(Serialize, ToSchema)]
pub(super) struct WindowSession {
    access: String,
    /// For how many seconds the access token is good: a browser's clock may be wrong.
    expires_in: i64,
    /// Which session this is: another window of the browser may have begun another one, even another user's.
    session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PageUser)]
struct User {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    email: String,
}

/// 200 with an access token and the user, and the cookie; everything else as `POST /api/login/`.
pub(super) async fn log_in(
    State(state): State<AppState>,
    context: RequestContext,
    _: OfOwnOrigin,
    Body(fields): Body,
) -> Result<Response, Problem> {
    let LoggedIn { user_id: id, username, email, tokens } =
        begin(&state, &context, &fields, Wanted::Pair).await?;
    let cookie = state.refresh_cookie.set(&tokens.refresh, state.tokens.config().refresh_lifetime);
    let user = Some(User { id, username, email });
    let session = window_session(&state, tokens.access.unwrap_or_default(), user).await;
    Ok((cookie, Json(session)).into_response())
}

/// 200 with an access token; 204 for a browser that has no session here; everything else as
/// `POST /api/token/refresh/`, and a cookie that is no good is taken away.
pub(super) async fn refresh(
    State(state): State<AppState>,
    context: RequestContext,
    _: OfOwnOrigin,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookie = state.refresh_cookie;
    // Everybody who comes for the first time: no failure, neither to us nor in the browser's console.
    let Some(token) = cookie.read(&headers) else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    match sessions::refresh(&state, &context, &token).await {
        Ok(sessions::Refreshed { access, refresh }) => {
            let lifetime = state.tokens.config().refresh_lifetime;
            let rotated = refresh.map(|token| cookie.set(&token, lifetime)).unwrap_or_default();
            Ok((rotated, Json(window_session(&state, access, None).await)).into_response())
        }
        // It may be as good as before in a moment.
        Err(RefreshError::Fault(fault)) => Err(fault.into()),
        Err(over) => Ok((cookie.clear(), refresh_refused(over)).into_response()),
    }
}

/// 204 and no cookie: the session is over, now or before.
pub(super) async fn log_out(
    State(state): State<AppState>,
    context: RequestContext,
    _: OfOwnOrigin,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookie = state.refresh_cookie;
    let access = match bearer(&headers, state.tokens.config()) {
        Bearer::Token(token) => Some(token),
        Bearer::None | Bearer::Malformed => None,
    };
    let shown = Shown { refresh: cookie.read(&headers), access };
    match sessions::log_out(&state, &context, shown).await {
        Ok(()) | Err(LogOutError::Nothing | LogOutError::Token(_)) => {
            Ok((StatusCode::NO_CONTENT, cookie.clear()).into_response())
        }
        Err(LogOutError::Fault(fault)) => Err(fault.into()),
    }
}

async fn window_session(state: &AppState, access: String, user: Option<User>) -> WindowSession {
    let now = state.clock.now();
    // Our own token is good; one that is not would be found out by its first use.
    let claims = state.tokens.judge(&access, now).await.ok();
    let expires_at = claims.as_ref().map_or(0, Claims::expires_at);
    let session = claims.as_ref().and_then(|claims| match claims.session() {
        Ok(Some(session)) => Some(session.to_string()),
        // Where tokens carry no session, whose they are is all that can be told apart.
        _ => claims.raw(&state.tokens.config().claims.user_id).map(str::to_owned),
    });
    let expires_in = expires_at.saturating_sub(now.timestamp()).max(0);
    WindowSession { access, expires_in, session: session.unwrap_or_default(), user }
}
