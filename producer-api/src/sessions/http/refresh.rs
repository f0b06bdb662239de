//! `POST /api/token/refresh/`.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;

use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, RefreshError};
use crate::state::AppState;

/// What OPTIONS tells.
pub const REFRESH: Endpoint = Endpoint {
    name: "Token Refresh",
    description: "Takes a refresh token and gives an access token.",
    methods: &["POST"],
    fields: &[EndpointField::required("refresh", "Refresh"), EndpointField::read_only("access", "Access")],
};

/// SimpleJWT's body without rotation.
#[derive(Debug, Serialize)]
pub struct Refreshed {
    access: String,
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
    let access = sessions::refresh(&state, &context, &token).await.map_err(|error| match error {
        RefreshError::Token(fault) => Problem::token_not_valid(&fault.to_string()),
        RefreshError::NoActiveAccount => Problem::no_active_account_token(),
        RefreshError::Fault(fault) => fault.into(),
    })?;
    Ok(Json(Refreshed { access }))
}
