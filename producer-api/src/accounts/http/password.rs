//! `/api/password/…`: a new password by a mailed link, and by the present one.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::pages::{Page, link_problem, token_of};
use super::register::address_of;
use crate::accounts::{
    self, Asked, ChangePasswordError, ConfirmPasswordError, LinkError, ResetPasswordError,
};
use crate::extract::{Body, FieldCheck};
use crate::middleware::{Endpoint, EndpointField, RequestContext, prefers_html};
use crate::problem::{FieldErrors, Problem};
use crate::sessions::SignedIn;
use crate::state::AppState;

/// What a wrong present password is answered with.
pub(super) const WRONG_PASSWORD: &str = "Invalid password.";

/// What OPTIONS tells of asking for a link.
pub const RESET: Endpoint = Endpoint {
    name: "Password Reset",
    description: "Sends a link with which a new password is chosen, if an account has this address. The answer does not tell.",
    methods: &["POST"],
    fields: &[EndpointField::required("email", "Email address")],
};

/// What OPTIONS tells of using one.
pub const CONFIRM_RESET: Endpoint = Endpoint {
    name: "Password Reset Confirm",
    description: "Takes the token of a mailed link and a new password. GET shows a page and uses nothing.",
    methods: &["GET", "POST"],
    fields: &[EndpointField::required("token", "Token"), EndpointField::required("password", "Password")],
};

/// What OPTIONS tells of changing.
pub const CHANGE: Endpoint = Endpoint {
    name: "Password Change",
    description: "Takes the present password and a new one; every session ends, this one too.",
    methods: &["POST"],
    fields: &[
        EndpointField::required("current_password", "Current password"),
        EndpointField::required("new_password", "New password"),
    ],
};

/// 202 `{}`, whoever has the address.
pub async fn reset(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Response, Problem> {
    let (email, username) = address_of(&fields)?;
    let asked = Asked { email: email.as_str(), username: username.as_deref() };
    accounts::ask_for_password_reset(&state, &context, asked).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}

/// 200 with a page that asks for the new password. It uses nothing up.
pub async fn confirm_reset_page(State(state): State<AppState>, RawQuery(query): RawQuery) -> Response {
    Page::ResetPassword { token: &token_of(query), faults: &[] }.render(StatusCode::OK, &state.entropy)
}

/// 200 `{}`; 400 for a link that is no good, or with what is wrong with the password, and then the link stays good. A
/// page for a browser.
pub async fn confirm_reset(
    State(state): State<AppState>,
    context: RequestContext,
    headers: HeaderMap,
    Body(fields): Body,
) -> Result<Response, Problem> {
    let mut check = FieldCheck::new(&fields);
    let token = check.text("token");
    let password = check.untrimmed_text("password");
    let as_page = prefers_html(&headers);
    if as_page && check.refused("password") && !check.refused("token") {
        let faults = ["This field may not be blank.".to_owned()];
        let page = Page::ResetPassword { token: &token, faults: &faults };
        return Ok(page.render(StatusCode::BAD_REQUEST, &state.entropy));
    }
    check.finish()?;
    match accounts::reset_password(&state, &context, &token, password).await {
        Ok(()) if as_page => Ok(Page::PasswordReset.render(StatusCode::OK, &state.entropy)),
        Ok(()) => Ok(Json(json!({})).into_response()),
        Err(ResetPasswordError::Password(faults)) if as_page => {
            let page = Page::ResetPassword { token: &token, faults: &faults };
            Ok(page.render(StatusCode::BAD_REQUEST, &state.entropy))
        }
        Err(ResetPasswordError::Password(faults)) => Err(field_problem("password", &faults)),
        Err(ResetPasswordError::Link(LinkError::Refused)) if as_page => {
            Ok(Page::LinkRefused.render(StatusCode::BAD_REQUEST, &state.entropy))
        }
        Err(ResetPasswordError::Link(error)) => Err(link_problem(error)),
    }
}

/// 200 `{}`; 400 with what is wrong with either password.
pub async fn change(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    Body(fields): Body,
) -> Result<Json<Value>, Problem> {
    let mut check = FieldCheck::new(&fields);
    // Trimmed, as a login trims what it is compared with.
    let present = check.text("current_password");
    let new = check.untrimmed_text("new_password");
    check.finish()?;
    match accounts::change_password(&state, &context, &who, present, new).await {
        Ok(()) => Ok(Json(json!({}))),
        Err(ChangePasswordError::New(faults)) => Err(field_problem("new_password", &faults)),
        Err(ChangePasswordError::Present(error)) => Err(confirmation_problem("current_password", error)),
    }
}

/// What a password that was not confirmed is answered with.
pub(super) fn confirmation_problem(field: &str, error: ConfirmPasswordError) -> Problem {
    match error {
        ConfirmPasswordError::Wrong => field_problem(field, &[WRONG_PASSWORD.to_owned()]),
        ConfirmPasswordError::Limited { retry_after_seconds } => {
            Problem::throttled(Some(retry_after_seconds))
        }
        ConfirmPasswordError::UserGone => Problem::user_not_found(),
        ConfirmPasswordError::Fault(fault) => fault.into(),
    }
}

/// 400 about one field.
pub(super) fn field_problem(field: &str, texts: &[String]) -> Problem {
    let mut errors = FieldErrors::new();
    for text in texts {
        errors.add(field, text.as_str());
    }
    Problem::field_errors(errors)
}
