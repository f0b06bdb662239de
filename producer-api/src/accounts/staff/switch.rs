//! Switching somebody's account off or on, and unlocking it.

use shared::contracts::auth::AccessDenial;
use shared::ids::UserId;

use super::list::{User, find_user};
use crate::accounts::{ChangeError, set_active};
use crate::fault::Fault;
use crate::limits::{self, UnlockError};
use crate::middleware::RequestContext;
use crate::sessions::{SignedIn, tell_denied};
use crate::state::AppState;

/// Why staff could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StaffError {
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// It is the account of whoever asks: nobody locks himself out by a slip.
    #[error("it is the caller's own account")]
    OwnAccount,
    /// It is a superuser's, and whoever asks is none.
    #[error("it is a superuser's account")]
    Superusers,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for StaffError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<ChangeError> for StaffError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::UnknownUser(_) => Self::NotFound,
            ChangeError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<UnlockError> for StaffError {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::UnknownUser(_) => Self::NotFound,
            UnlockError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Switches an account off or on and gives it as it is then. That it was so already is no error.
pub async fn switch(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    user: UserId,
    active: bool,
) -> Result<User, StaffError> {
    if user == who.user_id && !active {
        return Err(StaffError::OwnAccount);
    }
    let found = find(state, user).await?;
    if found.is_superuser && !find(state, who.user_id).await?.is_superuser {
        tell_denied(state, context, who, AccessDenial::NotSuperuser, format!("users/{user}")).await?;
        return Err(StaffError::Superusers);
    }
    set_active(state, context, Some(who.user_id), &found.username, active).await?;
    find(state, user).await
}

/// Forgets the wrong passwords of an account and gives it. That there were none is no error.
pub async fn unlock(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    user: UserId,
) -> Result<User, StaffError> {
    let found = find(state, user).await?;
    let program = (&state.database, &state.outbox);
    limits::unlock(program, context, Some(who.user_id), &found.username).await?;
    Ok(found)
}

async fn find(state: &AppState, user: UserId) -> Result<User, StaffError> {
    find_user(&state.database, user).await?.ok_or(StaffError::NotFound)
}
