//! `POST /api/token/verify/`: whether a token is one of ours and within its times, whatever it is for.

use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};

use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, VerifyError};
use crate::state::AppState;

/// What OPTIONS tells.
pub const VERIFY: Endpoint = Endpoint {
    name: "Token Verify",
    description: "Takes a token and says whether it is valid, whatever it is for.",
    methods: &["POST"],
    fields: &[EndpointField::required("token", "Token")],
};

/// 200 `{}`, or 401; 400 for a token on the blacklist, if the settings have us look there.
pub async fn verify(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Value>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("token");
    check.finish()?;
    sessions::verify(&state, &context, &token).await.map_err(|error| match error {
        VerifyError::Token(fault) => Problem::token_not_valid(&fault.to_string()),
        VerifyError::OnTheBlacklist => Problem::non_field_error("Token is blacklisted"),
        VerifyError::Fault(fault) => fault.into(),
    })?;
    Ok(Json(json!({})))
}
