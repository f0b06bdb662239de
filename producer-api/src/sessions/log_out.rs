//! Logging out, and SimpleJWT's blacklist endpoint, which is the same for a client that has no other word for it.

use shared::contracts::auth::{BlacklistReason, SessionEnd};
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

use super::end::end_session;
use super::store::{self, Account};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{
    Claims, Holder, TokenFault, TokenKind, UserClaim, blacklist_presented, reject_blacklisted,
};

/// What a client may show to log out: either suffices.
#[derive(Debug, Default)]
pub struct Presented {
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
pub async fn log_out(
    state: &AppState,
    context: &RequestContext,
    presented: Presented,
) -> Result<(), LogOutError> {
    let by_refresh = match &presented.refresh {
        Some(token) => end_by_refresh(state, context, token, BlacklistReason::Logout).await,
        None => Err(LogOutError::Nothing),
    };
    match (by_refresh, presented.access) {
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
    let claims = state.tokens.judge(token, state.clock.now())?;
    let mut transaction = state.database.begin().await?;
    // The lock first: nobody else ends this session or blacklists this token from here on.
    let user = lock_holder(&mut transaction, &claims).await?;
    reject_blacklisted(&mut transaction, &claims).await??;
    claims.require(TokenKind::Refresh)?;
    let jti = claims.jti()?.ok_or(TokenFault::NoId)?;
    if claims.user() == UserClaim::Unusable {
        return Err(TokenFault::Invalid.into());
    }
    let session = claims.session()?;
    let holder = holder(context, user.as_ref(), session);
    let now = state.clock.now();
    let (connection, outbox) = (&mut *transaction, &state.outbox);
    if !blacklist_presented(connection, outbox, &claims, &jti, &holder, now, reason).await? {
        return Err(TokenFault::Blacklisted.into());
    }
    if let (Some(user), Some(session)) = (&user, session) {
        let user = (user.id, user.username.as_str());
        end_session(&mut transaction, &state.outbox, user, session, &holder, now, SessionEnd::Logout).await?;
    }
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

async fn end_by_access(state: &AppState, context: &RequestContext, token: &str) -> Result<(), LogOutError> {
    let claims = state.tokens.judge(token, state.clock.now())?;
    claims.require(TokenKind::Access)?;
    // A token without a session names nothing that could be ended.
    let session = claims.session()?.ok_or(LogOutError::Nothing)?;
    let mut transaction = state.database.begin().await?;
    let user = lock_holder(&mut transaction, &claims).await?.ok_or(TokenFault::Blacklisted)?;
    let holder = holder(context, Some(&user), Some(session));
    let standing = store::standing(&mut transaction, user.id, Some(session)).await?;
    if !standing.is_some_and(|standing| standing.session_active) {
        return Err(TokenFault::Blacklisted.into());
    }
    let (now, named) = (state.clock.now(), (user.id, user.username.as_str()));
    end_session(&mut transaction, &state.outbox, named, session, &holder, now, SessionEnd::Logout).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

async fn lock_holder(connection: &mut PgConnection, claims: &Claims) -> Result<Option<Account>, sqlx::Error> {
    match claims.user() {
        UserClaim::Id(user) => store::lock_user(connection, user).await,
        _ => Ok(None),
    }
}

fn holder(context: &RequestContext, user: Option<&Account>, session_id: Option<SessionId>) -> Holder {
    let (user_id, username): (Option<UserId>, _) = user.map(|user| (user.id, user.username.clone())).unzip();
    Holder { user_id, username, session_id, origin: context.origin(), trace: context.trace }
}
