//! Switching somebody's account off or on, and unlocking it.

use shared::contracts::auth::AccessDenial;
use shared::ids::UserId;

use super::list::User;
use super::store::{self, Locked};
use crate::accounts::Office;
use crate::accounts::new_password::announce;
use crate::accounts::set_active::set_active_locked;
use crate::fault::Fault;
use crate::limits;
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
    /// Whoever asks is no staff any more, or it is a superuser's and he is none.
    #[error("the caller may not do this")]
    Denied,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for StaffError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
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
    let office = Office::from(state);
    let mut transaction = state.database.begin().await?;
    let Locked { actor, account } = store::lock(&mut transaction, who.user_id, user).await?;
    let mut account = account.ok_or(StaffError::NotFound)?;
    if let Some(denial) = denial(state, actor.as_ref(), &account) {
        transaction.rollback().await?;
        return Err(denied(state, context, who, denial, user).await);
    }
    if account.is_active == active {
        return Ok(account);
    }
    let named = (account.id, account.username.as_str());
    let actor_id = Some(who.user_id);
    let ended = set_active_locked(office, context, &mut transaction, named, active, actor_id).await?;
    transaction.commit().await?;
    announce(office, account.id, &ended);
    account.is_active = active;
    Ok(account)
}

/// Forgets the wrong secrets of an account and gives it. That there were none is no error.
pub async fn unlock(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    user: UserId,
) -> Result<User, StaffError> {
    let mut transaction = state.database.begin().await?;
    let Locked { actor, account } = store::lock(&mut transaction, who.user_id, user).await?;
    let account = account.ok_or(StaffError::NotFound)?;
    if let Some(denial) = denial(state, actor.as_ref(), &account) {
        transaction.rollback().await?;
        return Err(denied(state, context, who, denial, user).await);
    }
    let named = (account.id, account.username.as_str());
    let program = (&mut *transaction, &state.outbox);
    limits::unlock_locked(program, context, Some(who.user_id), named).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(account)
}

/// Why whoever asks may not touch the account, by what both are under the lock: he may have been staff when his request
/// began.
fn denial(state: &AppState, actor: Option<&User>, account: &User) -> Option<AccessDenial> {
    let inactive_may = !state.tokens.config().check_user_is_active;
    match actor {
        Some(actor) if actor.is_staff && (actor.is_active || inactive_may) => {
            (account.is_superuser && !actor.is_superuser).then_some(AccessDenial::NotSuperuser)
        }
        _ => Some(AccessDenial::NotStaff),
    }
}

async fn denied(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    denial: AccessDenial,
    user: UserId,
) -> StaffError {
    match tell_denied(state, context, who, denial, format!("users/{user}")).await {
        Ok(()) => StaffError::Denied,
        Err(fault) => fault.into(),
    }
}
