//! `POST /api/token/blacklist/`: whoever holds a refresh token may end it. The second time is 401.

use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};

use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, LogOutError};
use crate::state::AppState;

/// What OPTIONS tells.
pub const BLACKLIST: Endpoint = Endpoint {
    name: "Token Blacklist",
    description: "Takes a refresh token, puts it on the blacklist and ends its session.",
    methods: &["POST"],
    fields: &[EndpointField::required("refresh", "Refresh")],
};

/// 200 `{}`, or 401.
pub async fn blacklist(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Value>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("refresh");
    check.finish()?;
    sessions::blacklist(&state, &context, &token).await.map_err(|error| refused(error, &fields))?;
    Ok(Json(json!({})))
}

/// The answer to a token that can't be ended: the blacklist's for logout, too.
pub(super) fn refused(error: LogOutError, fields: &crate::extract::Fields) -> Problem {
    match error {
        LogOutError::Token(fault) => Problem::token_not_valid(&fault.to_string()),
        LogOutError::Fault(fault) => fault.into(),
        LogOutError::Nothing => {
            // What is missing is the field; asking for it says so in the contract's words.
            let mut check = FieldCheck::new(fields);
            check.text("refresh");
            check.finish().err().unwrap_or_else(|| Problem::token_not_valid("Token is invalid"))
        }
    }
}
