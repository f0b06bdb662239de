//! Giving somebody a session without a password: SimpleJWT's "creating tokens manually", for operators.

use super::begin::{Begun, Tokens, Wanted, begin_session};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// Why nothing was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintTokensError {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// He is inactive: his tokens would open nothing.
    #[error("{0:?} is disabled; `users enable` first")]
    Disabled(String),
    /// The policy lets the session that is there go first.
    #[error("{0:?} has an active session, and SESSION_POLICY=reject keeps it")]
    SessionActive(String),
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for MintTokensError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Begins a session of `username` under the policy, with its event, as a login does.
pub async fn mint_tokens(
    state: &AppState,
    context: &RequestContext,
    username: &str,
    wanted: Wanted,
) -> Result<Tokens, MintTokensError> {
    let unknown = || MintTokensError::UnknownUser(username.to_owned());
    let mut transaction = state.database.begin().await?;
    let found = store::find_by_username(&mut transaction, username).await?.ok_or_else(unknown)?;
    let account = store::lock_user(&mut transaction, found.id).await?.ok_or_else(unknown)?;
    if !account.is_active {
        return Err(MintTokensError::Disabled(username.to_owned()));
    }
    let begun = begin_session(state, context, &mut transaction, &account, wanted).await?;
    let Begun { tokens, ended } = begun.ok_or_else(|| MintTokensError::SessionActive(username.to_owned()))?;
    transaction.commit().await?;
    state.outbox.wake();
    state.standings.sessions_ended(&ended);
    Ok(tokens)
}
