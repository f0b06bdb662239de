//! What refreshing and sliding share: whether a token's user and session let it be renewed, and what is told of it.

use chrono::{DateTime, Utc};
use shared::contracts::auth::{BlacklistReason, SessionEnd, TokenRefreshed};
use shared::ids::{SessionId, UserId};
use sqlx::PgTransaction;

use super::end::{Ending, end_session};
use super::presented::{LiveSession, Presented, UserFault};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{TokenFault, blacklist_presented, record_presented};

/// Why a token was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token won't do.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// Its user is gone or disabled.
    #[error("the token's user is gone or disabled")]
    NoActiveAccount,
    /// Its user has another password by now.
    #[error("the token's user has another password")]
    PasswordChanged,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RefreshError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<UserFault> for RefreshError {
    fn from(fault: UserFault) -> Self {
        match fault {
            UserFault::Unusable => Self::Token(TokenFault::Invalid),
            UserFault::NoActiveAccount => Self::NoActiveAccount,
            UserFault::PasswordChanged => Self::PasswordChanged,
        }
    }
}

/// For whom a token may be renewed.
#[derive(Debug)]
pub(super) struct Renewable {
    user: Option<(UserId, String)>,
    session: Option<LiveSession>,
}

impl Renewable {
    /// When its session is over: no token may outlive that.
    pub(super) fn session_end(&self) -> Option<DateTime<Utc>> {
        self.session.and_then(|session| session.ends_at)
    }
}

/// Asks for a good user and a session that goes on. Gives the transaction back with them; otherwise what follows from the
/// refusal is done in it: a token given for an older password is blacklisted, a session that has lasted as long as it may
/// ends.
pub(super) async fn require_renewable<'c>(
    state: &AppState,
    context: &RequestContext,
    mut transaction: PgTransaction<'c>,
    presented: &Presented<'_>,
    jti: &str,
    now: DateTime<Utc>,
) -> Result<(PgTransaction<'c>, Renewable), RefreshError> {
    let user = match presented.require_user(state.tokens.config()) {
        Ok(user) => user.map(|user| (user.id, user.username.clone())),
        Err(UserFault::PasswordChanged) => {
            refuse_old_password(state, context, transaction, presented, jti).await?;
            return Err(RefreshError::PasswordChanged);
        }
        Err(fault) => return Err(fault.into()),
    };
    let renewable = Renewable { user, session: presented.require_session(&mut transaction).await?? };
    if let Renewable { user: Some(user), session: Some(LiveSession { id, ends_at: Some(ends_at) }) } =
        &renewable
        && state.tokens.is_over(ends_at.timestamp(), now)
    {
        end_outlived(state, context, transaction, presented, (user, *id)).await?;
        return Err(TokenFault::Expired.into());
    }
    Ok((transaction, renewable))
}

/// Tells that a token was renewed, and commits.
pub(super) async fn tell_renewed(
    state: &AppState,
    context: &RequestContext,
    mut transaction: PgTransaction<'_>,
    renewable: Renewable,
    jti: &str,
) -> Result<(), Fault> {
    let (user_id, username) = renewable.user.unzip();
    let session_id = renewable.session.map(|session| session.id);
    let event =
        TokenRefreshed { user_id, username, session_id, jti: jti.to_owned(), origin: context.origin() };
    state.outbox.append(&mut transaction, &context.trace, event).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Blacklists a token that was given for a password which is no longer its user's.
async fn refuse_old_password(
    state: &AppState,
    context: &RequestContext,
    mut transaction: PgTransaction<'_>,
    presented: &Presented<'_>,
    jti: &str,
) -> Result<(), Fault> {
    let (now, whose) = (state.clock.now(), presented.whose(context));
    let connection = &mut *transaction;
    if let Some(account) = &presented.account {
        // Before the token's row, as whoever ends a session does.
        store::lock_user(connection, account.id).await?;
    }
    let token = record_presented(connection, &state.tokens, presented.claims, jti, &whose, now).await?;
    let reason = BlacklistReason::PasswordChanged;
    blacklist_presented(connection, &state.outbox, (token, jti), &whose, now, reason).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

/// Ends a session that has lasted as long as it may.
async fn end_outlived(
    state: &AppState,
    context: &RequestContext,
    mut transaction: PgTransaction<'_>,
    presented: &Presented<'_>,
    ((user_id, username), session): (&(UserId, String), SessionId),
) -> Result<(), Fault> {
    let (ending, whose) = (Ending::by_rule(SessionEnd::Expired, state.clock.now()), presented.whose(context));
    store::lock_user(&mut transaction, *user_id).await?;
    end_session(&mut transaction, &state.outbox, (*user_id, username), session, &whose, ending).await?;
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.session_ended(session);
    Ok(())
}
