//! Logging out, and SimpleJWT's blacklist endpoint, which is the same for a client that has no other word for it.

use shared::contracts::auth::{BlacklistReason, SessionEnd};
use shared::ids::SessionId;
use sqlx::PgTransaction;

use super::end::{Ending, end_session};
use super::presented::{Lock, Presented};
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{TokenFault, TokenKind, UserClaim, blacklist_presented, record_presented};

/// What a client may show to log out: either suffices. Never printed.
#[derive(Default)]
pub struct Shown {
    /// A refresh token from the body.
    pub refresh: Option<String>,
    /// An access token from the header.
    pub access: Option<String>,
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum LogOutError {
    /// Nothing was shown that names a session.
    #[error("neither a refresh token nor an access token with a session was given")]
    Nothing,
    /// What was shown won't do.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for LogOutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Ends the session of the refresh token, or of the access token if there is no refresh token that will do.
pub async fn log_out(state: &AppState, context: &RequestContext, shown: Shown) -> Result<(), LogOutError> {
    let by_refresh = match &shown.refresh {
        Some(token) => end_by_refresh(state, context, token, BlacklistReason::Logout).await,
        None => Err(LogOutError::Nothing),
    };
    match (by_refresh, shown.access) {
        // The refresh token says it better: its fault is the answer if the access token is no good either.
        (Err(LogOutError::Token(fault)), Some(access)) => {
            end_by_access(state, context, &access).await.map_err(|error| match error {
                LogOutError::Fault(fault) => fault.into(),
                _ => fault.into(),
            })
        }
        (Err(LogOutError::Nothing), Some(access)) => end_by_access(state, context, &access).await,
        (result, _) => result,
    }
}

/// Blacklists a refresh token, and ends its session if it has one.
pub async fn blacklist(state: &AppState, context: &RequestContext, token: &str) -> Result<(), LogOutError> {
    end_by_refresh(state, context, token, BlacklistReason::Blacklisted).await
}

async fn end_by_refresh(
    state: &AppState,
    context: &RequestContext,
    token: &str,
    reason: BlacklistReason,
) -> Result<(), LogOutError> {
    let claims = state.judge(context, token, state.clock.now()).await?;
    let mut transaction = state.database.begin().await?;
    let presented = Presented::look_up(state, &mut transaction, &claims, Lock::User).await?;
    let jti = presented.require(TokenKind::Refresh)?;
    if claims.user() == UserClaim::Unusable {
        return Err(TokenFault::Invalid.into());
    }
    let session = presented.session()?;
    let whose = presented.whose(context);
    let now = state.clock.now();
    let connection = &mut *transaction;
    let token = record_presented(connection, &state.tokens, &claims, jti, &whose, now).await?;
    if !blacklist_presented(connection, &state.outbox, (token, jti), &whose, now, reason).await? {
        return Err(TokenFault::Blacklisted.into());
    }
    let mut ended = None;
    if let Some((account, session)) = presented.account.as_ref().zip(session) {
        // Where tokens don't carry their session, SimpleJWT's blacklist ends this token alone: with rotation alone there
        // may be others. A session without a good token is no session to a login.
        if reason == BlacklistReason::Logout || state.sessions.tokens_carry_session() {
            let user = (account.id, account.username.as_str());
            let ending = Ending::by_rule(SessionEnd::Logout, now);
            end_session(connection, &state.outbox, user, session, &whose, ending).await?;
            ended = Some(session);
        }
    }
    finish(state, transaction, ended).await
}

async fn end_by_access(state: &AppState, context: &RequestContext, token: &str) -> Result<(), LogOutError> {
    let claims = state.judge(context, token, state.clock.now()).await?;
    let classes = &state.tokens.config().auth_token_classes;
    if !classes.iter().any(|class| claims.require(*class).is_ok()) {
        claims.require(TokenKind::Access)?;
    }
    let mut transaction = state.database.begin().await?;
    let presented = Presented::look_up(state, &mut transaction, &claims, Lock::User).await?;
    // A token without a session names nothing that could be ended.
    let session = presented.session()?.ok_or(LogOutError::Nothing)?;
    let account = presented.account.as_ref().ok_or(TokenFault::Blacklisted)?;
    if store::active_since(&mut transaction, account.id, session).await?.is_none() {
        return Err(TokenFault::Blacklisted.into());
    }
    let user = (account.id, account.username.as_str());
    let ending = Ending::by_rule(SessionEnd::Logout, state.clock.now());
    let whose = presented.whose(context);
    end_session(&mut transaction, &state.outbox, user, session, &whose, ending).await?;
    finish(state, transaction, Some(session)).await
}

/// Commits, and has this replica refuse the session's tokens before it answers.
async fn finish(
    state: &AppState,
    transaction: PgTransaction<'_>,
    ended: Option<SessionId>,
) -> Result<(), LogOutError> {
    transaction.commit().await?;
    state.outbox.wake();
    if let Some(session) = ended {
        state.standings.session_ended(session);
    }
    Ok(())
}
