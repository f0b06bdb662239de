//! `POST /api/token/refresh/` and `POST /api/token/sliding/refresh/`.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, RefreshError};
use crate::state::AppState;

/// What OPTIONS tells of the refresh.
pub const REFRESH: Endpoint = Endpoint {
    name: "Token Refresh",
    description: "Takes a refresh token and gives an access token, and another refresh token if these rotate.",
    methods: &["POST"],
    fields: &[EndpointField::required("refresh", "Refresh"), EndpointField::read_only("access", "Access")],
};

/// What OPTIONS tells of the sliding refresh.
pub const SLIDE: Endpoint = Endpoint {
    name: "Token Refresh Sliding",
    description: "Takes a sliding token and gives it anew, while its refresh period lasts.",
    methods: &["POST"],
    fields: &[EndpointField::required("token", "Token")],
};

/// SimpleJWT's body, with rotation or without.
#[derive(Serialize, ToSchema)]
#[schema(as = RefreshedTokens)]
pub struct Refreshed {
    access: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
}

/// SimpleJWT's body of a sliding token.
#[derive(Serialize, ToSchema)]
#[schema(as = RefreshedSlidingToken)]
pub struct Slid {
    token: String,
}

/// 200 with an access token, or 401.
pub async fn refresh(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Refreshed>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("refresh");
    check.finish()?;
    let sessions::Refreshed { access, refresh } =
        sessions::refresh(&state, &context, &token).await.map_err(refused)?;
    Ok(Json(Refreshed { access, refresh }))
}

/// 200 with the token, or 401.
pub async fn slide(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Slid>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("token");
    check.finish()?;
    let token = sessions::slide(&state, &context, &token).await.map_err(refused)?;
    Ok(Json(Slid { token }))
}

/// The answer to a token that is not renewed.
pub(crate) fn refused(error: RefreshError) -> Problem {
    match error {
        RefreshError::Token(fault) => Problem::token_not_valid(&fault.to_string()),
        RefreshError::NoActiveAccount => Problem::no_active_account_token(),
        RefreshError::PasswordChanged => Problem::password_changed_at_refresh(),
        RefreshError::Fault(fault) => fault.into(),
    }
}
