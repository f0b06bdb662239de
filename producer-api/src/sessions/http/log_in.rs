//! `POST /api/token/` (SimpleJWT's pair), `POST /api/token/sliding/` and `POST /api/login/` (the pair and who it is for):
//! the same login.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;
use shared::ids::UserId;
use utoipa::ToSchema;

use crate::extract::{Body, FieldCheck, Fields};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::{self, Credentials, LogInError, LoggedIn, Tokens, Wanted};
use crate::state::AppState;

/// SimpleJWT takes a name of any length; what is longer than this is nobody's name, and nothing is counted for it.
pub(crate) const USERNAME_CHARACTERS_MAX: usize = 8_192;

const FIELDS: &[EndpointField] =
    &[EndpointField::required("username", "Username"), EndpointField::required("password", "Password")];

/// What OPTIONS tells of the pair.
pub const OBTAIN_PAIR: Endpoint = Endpoint {
    name: "Token Obtain Pair",
    description: "Takes a name and a password and gives an access and a refresh token.",
    methods: &["POST"],
    fields: FIELDS,
};

/// What OPTIONS tells of the login.
pub const LOG_IN: Endpoint = Endpoint {
    name: "Login",
    description: "Takes a name and a password and gives the user with an access and a refresh token.",
    methods: &["POST"],
    fields: FIELDS,
};

/// What OPTIONS tells of the sliding token.
pub const OBTAIN_SLIDING: Endpoint = Endpoint {
    name: "Token Obtain Sliding",
    description: "Takes a name and a password and gives a sliding token, which is access and refresh token in one.",
    methods: &["POST"],
    fields: FIELDS,
};

/// SimpleJWT's body: nothing else in it.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenPair)]
pub struct Pair {
    refresh: String,
    access: String,
}

/// SimpleJWT's body of a sliding token.
#[derive(Serialize, ToSchema)]
#[schema(as = SlidingToken)]
pub struct Sliding {
    token: String,
}

/// The user, and the pair.
#[derive(Serialize, ToSchema)]
#[schema(as = Login)]
pub struct UserWithPair {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    email: String,
    refresh: String,
    access: String,
}

/// 200 with the pair, or 401.
pub async fn obtain_pair(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Pair>, Problem> {
    let LoggedIn { tokens, .. } = begin(&state, &context, &fields, Wanted::Pair).await?;
    let Tokens { refresh, access } = tokens;
    Ok(Json(Pair { refresh, access: access.unwrap_or_default() }))
}

/// 200 with a sliding token, or 401.
pub async fn obtain_sliding(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<Sliding>, Problem> {
    let LoggedIn { tokens, .. } = begin(&state, &context, &fields, Wanted::Sliding).await?;
    Ok(Json(Sliding { token: tokens.refresh }))
}

/// 200 with user and pair, or 401.
pub async fn log_in(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<Json<UserWithPair>, Problem> {
    let LoggedIn { user_id: id, username, email, tokens } =
        begin(&state, &context, &fields, Wanted::Pair).await?;
    let Tokens { refresh, access } = tokens;
    Ok(Json(UserWithPair { id, username, email, refresh, access: access.unwrap_or_default() }))
}

/// Logs in with the `username` and `password` of a body.
pub(crate) async fn begin(
    state: &AppState,
    context: &RequestContext,
    fields: &Fields,
    wanted: Wanted,
) -> Result<LoggedIn, Problem> {
    let mut check = FieldCheck::new(fields);
    let credentials = Credentials { username: check.text("username"), password: check.text("password") };
    if credentials.username.chars().count() > USERNAME_CHARACTERS_MAX {
        check.refuse(
            "username",
            format!("Ensure this field has no more than {USERNAME_CHARACTERS_MAX} characters."),
        );
    }
    check.finish()?;
    sessions::log_in(state, context, credentials, wanted).await.map_err(|error| match error {
        LogInError::Refused => Problem::no_active_account_credentials(),
        LogInError::SessionActive => Problem::session_active(),
        LogInError::Limited { retry_after_seconds } => Problem::throttled(Some(retry_after_seconds)),
        LogInError::Fault(fault) => fault.into(),
    })
}
