//! Refreshing: an access token for a refresh token.

use shared::contracts::auth::TokenRefreshed;
use shared::ids::{SessionId, UserId};
use sqlx::PgConnection;

use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{Claims, TokenFault, TokenKind, UserClaim, reject_blacklisted};

/// Why no access token was given.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The token won't do.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// Its user is gone or disabled.
    #[error("the token's user is gone or disabled")]
    NoActiveAccount,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RefreshError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Gives an access token, and leaves an event: in SimpleJWT's order the token is decoded, looked up on the blacklist,
/// then its expiry, id and type, then its user. The refresh token stays good.
pub async fn refresh(
    state: &AppState,
    context: &RequestContext,
    token: &str,
) -> Result<String, RefreshError> {
    // Taken before the session is read: no token outlives the end of its session by more than its lifetime.
    let now = state.clock.now();
    let claims = state.tokens.judge(token, now)?;
    let mut transaction = state.database.begin().await?;
    reject_blacklisted(&mut transaction, &claims).await??;
    claims.require(TokenKind::Refresh)?;
    let session = claims.session()?;
    let user = require_user(&mut transaction, &claims, session).await?;
    let access = state.tokens.access_token(&claims, now).map_err(Fault::from)?;
    let (user_id, username) = user.unzip();
    let jti = claims.jti()?.ok_or(TokenFault::NoId)?;
    let event = TokenRefreshed { user_id, username, session_id: session, jti, origin: context.origin() };
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(access)
}

/// The user of the token; none if it names none, which SimpleJWT answers all the same.
async fn require_user(
    connection: &mut PgConnection,
    claims: &Claims,
    session: Option<SessionId>,
) -> Result<Option<(UserId, String)>, RefreshError> {
    let user = match claims.user() {
        UserClaim::Absent | UserClaim::Null => return Ok(None),
        UserClaim::Unusable => return Err(TokenFault::Invalid.into()),
        UserClaim::Id(user) => user,
    };
    let standing = store::standing(connection, user, session).await?.ok_or(RefreshError::NoActiveAccount)?;
    if !standing.session_active {
        return Err(TokenFault::Blacklisted.into());
    }
    if !standing.is_active {
        return Err(RefreshError::NoActiveAccount);
    }
    Ok(Some((user, standing.username)))
}
