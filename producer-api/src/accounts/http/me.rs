//! `/api/users/me/`: one's own profile.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::ids::UserId;
use utoipa::ToSchema;

use super::password::{confirmation_problem, field_problem};
use super::register::USERNAME_TAKEN;
use crate::accounts::{self, EmailAddress, Profile, ProfileChange, UpdateProfileError, Username};
use crate::extract::{Body, FieldCheck, Fields};
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::Problem;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// The longest first or last name.
pub(super) const NAME_CHARACTERS_MAX: usize = 150;

/// What OPTIONS tells.
pub const ME: Endpoint = Endpoint {
    name: "User Profile",
    description: "Your own account. Another address needs your password and counts once it is verified; so does deleting the account.",
    methods: &["GET", "PATCH", "DELETE"],
    fields: &[
        EndpointField::optional("username", "Username"),
        EndpointField::optional("first_name", "First name"),
        EndpointField::optional("last_name", "Last name"),
        EndpointField::optional("email", "Email address"),
        EndpointField::optional("password", "Password"),
    ],
};

/// A profile as it is answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Profile)]
pub struct ProfileBody {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    email: String,
    email_verified: bool,
    #[schema(required)]
    pending_email: Option<String>,
    first_name: String,
    last_name: String,
    is_staff: bool,
    date_joined: DateTime<Utc>,
    #[schema(required)]
    last_login: Option<DateTime<Utc>>,
}

impl From<Profile> for ProfileBody {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            username: profile.username,
            email: profile.email,
            email_verified: profile.email_verified_at.is_some(),
            pending_email: profile.pending_email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            is_staff: profile.is_staff,
            date_joined: profile.date_joined,
            last_login: profile.last_login,
        }
    }
}

/// 200 with the profile.
pub async fn read(State(state): State<AppState>, who: SignedIn) -> Result<Json<ProfileBody>, Problem> {
    let profile = accounts::profile(&state, who.user_id).await?.ok_or_else(Problem::user_not_found)?;
    Ok(Json(profile.into()))
}

/// 200 with the profile as it is then; 400 with everything that is wrong, and then nothing is changed.
pub async fn update(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    Body(fields): Body,
) -> Result<Json<ProfileBody>, Problem> {
    let mut check = FieldCheck::new(&fields);
    let change = ProfileChange {
        username: parsed(&mut check, &fields, "username", Username::parse),
        first_name: name(&mut check, &fields, "first_name"),
        last_name: name(&mut check, &fields, "last_name"),
        email: parsed(&mut check, &fields, "email", EmailAddress::parse),
        password: check.optional_text("password"),
    };
    check.finish()?;
    let updated = accounts::update_profile(&state, &context, &who, change).await;
    updated.map(|profile| Json(profile.into())).map_err(|error| match error {
        UpdateProfileError::UsernameTaken => field_problem("username", &[USERNAME_TAKEN.to_owned()]),
        UpdateProfileError::NamesStandInTokens => {
            field_problem("username", &["Usernames are part of tokens here and can't be changed.".to_owned()])
        }
        UpdateProfileError::TooOften { retry_after_seconds } => Problem::throttled(Some(retry_after_seconds)),
        UpdateProfileError::PasswordMissing => {
            field_problem("password", &["This field is required.".to_owned()])
        }
        UpdateProfileError::Password(error) => confirmation_problem("password", error),
        UpdateProfileError::Gone => Problem::user_not_found(),
    })
}

/// 204, and the account is gone.
pub async fn delete(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    Body(fields): Body,
) -> Result<StatusCode, Problem> {
    let mut check = FieldCheck::new(&fields);
    let password = check.text("password");
    check.finish()?;
    accounts::delete_account(&state, &context, &who, password)
        .await
        .map_err(|error| confirmation_problem("password", error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// A field that may be absent and is checked by its type's own rule.
fn parsed<T>(
    check: &mut FieldCheck<'_>,
    fields: &Fields,
    field: &'static str,
    rule: impl FnOnce(&str) -> Result<T, Vec<String>>,
) -> Option<T> {
    fields.get(field)?;
    super::register::parse(check, field, rule)
}

/// A first or last name, which may be empty.
fn name(check: &mut FieldCheck<'_>, fields: &Fields, field: &'static str) -> Option<String> {
    fields.get(field)?;
    let name = check.blankable_text(field)?;
    if name.chars().count() > NAME_CHARACTERS_MAX {
        check.refuse(field, format!("Ensure this field has no more than {NAME_CHARACTERS_MAX} characters."));
    }
    Some(name)
}
