//! `POST /api/register/`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use serde::Serialize;
use shared::ids::UserId;
use utoipa::ToSchema;

use crate::accounts::{self, EmailAddress, NewAccount, RegisterError, Registered, Username};
use crate::credentials::PersonalWords;
use crate::extract::{Body, FieldCheck, Fields};
use crate::fault::Fault;
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::state::AppState;

/// What is said of a name that somebody has.
pub(super) const USERNAME_TAKEN: &str = "A user with that username already exists.";

/// What OPTIONS tells.
pub const REGISTER: Endpoint = Endpoint {
    name: "Register",
    description: "Makes an account.",
    methods: &["POST"],
    fields: &[
        EndpointField::required("username", "Username"),
        EndpointField::required("email", "Email address"),
        EndpointField::required("password", "Password"),
    ],
};

/// The new account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    email: String,
}

/// 201 with the account, 400 with everything that is wrong with the fields, or 429.
pub async fn register(
    State(state): State<AppState>,
    context: RequestContext,
    Body(fields): Body,
) -> Result<(StatusCode, Json<Account>), Problem> {
    let mut check = FieldCheck::new(&fields);
    let username = parse(&mut check, "username", Username::parse);
    let email = parse(&mut check, "email", EmailAddress::parse);
    let password = check.untrimmed_text("password");
    if !check.refused("password") {
        let about = PersonalWords {
            username: username.as_ref().map(Username::as_str).unwrap_or_default().to_owned(),
            email: email.as_ref().map(EmailAddress::as_str).unwrap_or_default().to_owned(),
            ..PersonalWords::default()
        };
        for fault in state.hasher.faults_of_new(&password, &about).await.map_err(Fault::from)? {
            check.refuse("password", fault);
        }
    }
    let (Some(username), Some(email)) = (username, email) else {
        return Err(check.finish().err().unwrap_or_else(Problem::internal));
    };
    check.finish()?;
    let account = NewAccount { username, email, password, is_superuser: false };
    match accounts::register((&state).into(), context.origin(), &context.trace, account).await {
        Ok(Registered { user_id: id, username, email }) => {
            Ok((StatusCode::CREATED, Json(Account { id, username, email })))
        }
        Err(RegisterError::UsernameTaken) => {
            let mut check = FieldCheck::new(&fields);
            check.refuse("username", USERNAME_TAKEN);
            Err(check.finish().err().unwrap_or_else(Problem::internal))
        }
        Err(RegisterError::Limited { retry_after_seconds }) => {
            Err(Problem::throttled(Some(retry_after_seconds)))
        }
        Err(RegisterError::Fault(fault)) => Err(fault.into()),
    }
}

/// A field that is checked by its type's own rule; `None` when it was refused.
pub(super) fn parse<T>(
    check: &mut FieldCheck<'_>,
    name: &'static str,
    rule: impl FnOnce(&str) -> Result<T, Vec<String>>,
) -> Option<T> {
    let text = check.text(name);
    if check.refused(name) {
        return None;
    }
    rule(&text).map_err(|faults| faults.into_iter().for_each(|fault| check.refuse(name, fault))).ok()
}

/// The address that a request is about, and the name if there is one: what can be no name is ignored, like whatever else
/// clients send along.
pub(super) fn address_of(fields: &Fields) -> Result<(EmailAddress, Option<String>), Problem> {
    let mut check = FieldCheck::new(fields);
    let email = parse(&mut check, "email", EmailAddress::parse);
    check.finish()?;
    Ok((email.ok_or_else(Problem::internal)?, FieldCheck::new(fields).optional_text("username")))
}
