//! `POST /api/token/verify/`: whether a token is one of ours and within its times, whatever it is for.

use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};

use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField};
use crate::problem::Problem;
use crate::state::AppState;
use crate::tokens::TokenFault;

/// What OPTIONS tells.
pub const VERIFY: Endpoint = Endpoint {
    name: "Token Verify",
    description: "Takes a token and says whether it is valid, whatever it is for.",
    methods: &["POST"],
    fields: &[EndpointField::required("token", "Token")],
};

/// 200 `{}`, or 401. Neither the blacklist nor the user is looked at.
pub async fn verify(State(state): State<AppState>, Body(fields): Body) -> Result<Json<Value>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("token");
    check.finish()?;
    let verdict =
        state.tokens.judge(&token, state.clock.now()).and_then(|claims| claims.require_expiry_and_id());
    verdict.map_err(|fault: TokenFault| Problem::token_not_valid(&fault.to_string()))?;
    Ok(Json(json!({})))
}
