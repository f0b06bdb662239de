//! `POST /api/logout/`: a refresh token in the body or an access token in the header, either suffices.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Json;
use serde_json::{Value, json};

use super::blacklist::refused;
use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, Bearer, Shown, bearer};
use crate::state::AppState;

/// What OPTIONS tells.
pub const LOG_OUT: Endpoint = Endpoint {
    name: "Logout",
    description: "Takes a refresh token, or an access token in the header, and ends its session.",
    methods: &["POST"],
    fields: &[EndpointField::optional("refresh", "Refresh")],
};

/// 200 `{}`; a second time 401, as the blacklist endpoint.
pub async fn log_out(
    State(state): State<AppState>,
    context: RequestContext,
    headers: HeaderMap,
    Body(fields): Body,
) -> Result<Json<Value>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let refresh = check.optional_text("refresh");
    let access = match bearer(&headers, state.tokens.config()) {
        Bearer::Token(token) => Some(token),
        // A header that is no token of ours counts as none, as on every open route.
        Bearer::None | Bearer::Malformed => None,
    };
    if access.is_none() {
        check.finish()?;
    }
    let shown = Shown { refresh, access };
    sessions::log_out(&state, &context, shown).await.map_err(|error| refused(error, &fields))?;
    Ok(Json(json!({})))
}
