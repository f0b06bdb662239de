//! `GET /api/users/`, `GET /api/users/{id}/`, and `POST` to its `disable/`, `enable/` and `unlock/`: for staff alone.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Json;
use shared::ids::UserId;

pub use super::documented::operations;
use super::{Page, StaffError, User, find_user, list_users, switch};
use crate::extract::{PageAsked, next_page};
use crate::fault::Fault;
use crate::middleware::{Endpoint, RequestContext};
use crate::problem::Problem;
use crate::sessions::{SignedIn, staff_only};
use crate::state::AppState;

/// How many accounts a page has unless more or fewer are asked for, and at the most.
pub(super) const LIMIT: u16 = 50;
pub(super) const LIMIT_MAX: u16 = 200;

/// What is said to somebody who would lock himself out.
pub(super) const OWN_ACCOUNT: &str = "You can't disable your own account. Ask another member of staff.";

/// What OPTIONS tells of the list.
pub const USERS: Endpoint = Endpoint {
    name: "User List",
    description: "Lists all accounts in the order of their ids, for staff; ?limit= and ?cursor= turn the pages.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of one.
pub const USER: Endpoint = Endpoint {
    name: "User Instance",
    description: "Shows an account to staff.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of switching one off.
pub const DISABLE: Endpoint = Endpoint {
    name: "User Disable",
    description: "Switches an account off, for staff: it can't log in, and all its sessions end.",
    methods: &["POST"],
    fields: &[],
};

/// What OPTIONS tells of switching one on.
pub const ENABLE: Endpoint = Endpoint {
    name: "User Enable",
    description: "Switches an account on again, for staff.",
    methods: &["POST"],
    fields: &[],
};

/// What OPTIONS tells of unlocking one.
pub const UNLOCK: Endpoint = Endpoint {
    name: "User Unlock",
    description: "Forgets the wrong passwords of an account, for staff: it may log in at once.",
    methods: &["POST"],
    fields: &[],
};

type UserPath = Result<Path<UserId>, PathRejection>;

/// 200 with a bare array, and where the next page is in `Link`.
pub async fn list(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Vec<User>>), Problem> {
    staff_only(&state, &context, &who, "users".to_owned()).await?;
    let PageAsked { limit, after } = PageAsked::of(query.as_deref(), LIMIT, LIMIT_MAX)?;
    let Page { users, next } = list_users(&state.database, after, limit).await.map_err(Fault::from)?;
    Ok((next_page("/api/users/", limit, next), Json(users)))
}

/// 200 with the account.
pub async fn show(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: UserPath,
) -> Result<Json<User>, Problem> {
    let user = user_asked_for(&state, &context, &who, path, "").await?;
    let found = find_user(&state.database, user).await.map_err(Fault::from)?;
    found.map(Json).ok_or_else(Problem::not_found)
}

/// 200 with the account as it is then; 409 for one's own, 403 for a superuser's.
pub async fn disable(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: UserPath,
) -> Result<Json<User>, Problem> {
    let user = user_asked_for(&state, &context, &who, path, "/disable").await?;
    answer(switch::switch(&state, &context, &who, user, false).await)
}

/// 200 with the account as it is then; 403 for a superuser's.
pub async fn enable(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: UserPath,
) -> Result<Json<User>, Problem> {
    let user = user_asked_for(&state, &context, &who, path, "/enable").await?;
    answer(switch::switch(&state, &context, &who, user, true).await)
}

/// 200 with the account; 403 for a superuser's.
pub async fn unlock(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    path: UserPath,
) -> Result<Json<User>, Problem> {
    let user = user_asked_for(&state, &context, &who, path, "/unlock").await?;
    answer(switch::unlock(&state, &context, &who, user).await)
}

fn answer(result: Result<User, StaffError>) -> Result<Json<User>, Problem> {
    result.map(Json).map_err(|error| match error {
        StaffError::NotFound => Problem::not_found(),
        StaffError::OwnAccount => Problem::conflict(OWN_ACCOUNT),
        StaffError::Denied => Problem::permission_denied(),
        StaffError::Fault(fault) => fault.into(),
    })
}

/// The account in the path, for staff; whether it is there is nobody else's business.
async fn user_asked_for(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    path: UserPath,
    action: &str,
) -> Result<UserId, Problem> {
    let user = path.ok().map(|Path(user)| user);
    let object = user.map_or_else(|| "users".to_owned(), |user| format!("users/{user}{action}"));
    staff_only(state, context, who, object).await?;
    user.ok_or_else(Problem::not_found)
}
