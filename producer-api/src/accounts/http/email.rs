//! `/api/email/verify/`: a mailed link's page and what its button does; `/api/email/verify/resend/`: another link.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use super::pages::{Page, link_problem, token_of};
use super::register::address_of;
use crate::accounts::{self, Asked, LinkError};
use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext, prefers_html};
use crate::problem::Problem;
use crate::state::AppState;

/// What OPTIONS tells of verifying.
pub const VERIFY_EMAIL: Endpoint = Endpoint {
    name: "Email Verify",
    description: "Takes the token of a mailed link and marks the address as verified. GET shows a page and uses nothing.",
    methods: &["GET", "POST"],
    fields: &[EndpointField::required("token", "Token")],
};

/// What OPTIONS tells of asking again.
pub const RESEND: Endpoint = Endpoint {
    name: "Email Verify Resend",
    description: "Sends the link again, if an account has this address unverified. The answer does not tell.",
    methods: &["POST"],
    fields: &[EndpointField::required("email", "Email address")],
};

/// 200 with a page that has a button: whatever opens links before their reader does uses nothing up.
pub async fn verify_page(State(state): State<AppState>, RawQuery(query): RawQuery) -> Response {
    Page::VerifyEmail { token: &token_of(query) }.render(StatusCode::OK, &state.entropy)
}

/// 200 `{}`, or 400 with one text for every link that is no good; a page for a browser.
pub async fn verify(
    State(state): State<AppState>,
    context: RequestContext,
    headers: HeaderMap,
    Body(fields): Body,
) -> Result<Response, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("token");
    check.finish()?;
    let as_page = prefers_html(&headers);
    match accounts::verify_email(&state, &context, &token).await {
        Ok(()) if as_page => Ok(Page::EmailVerified.render(StatusCode::OK, &state.entropy)),
        Ok(()) => Ok(Json(json!({})).into_response()),
        Err(LinkError::Refused) if as_page => {
            Ok(Page::LinkRefused.render(StatusCode::BAD_REQUEST, &state.entropy))
        }
        Err(error) => Err(link_problem(error)),
    }
}

/// 202 `{}`, whoever has the address; 429 for a client that asks too often.
pub async fn resend(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Response, Problem> {
    let (email, username) = address_of(&fields)?;
    let asked = Asked { email: email.as_str(), username: username.as_deref() };
    accounts::resend_verification(&state, &context, asked).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}
