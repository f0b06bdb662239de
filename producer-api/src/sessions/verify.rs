//! Whether a token is good, whatever it is for.

use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{TokenFault, UserClaim, is_blacklisted};

/// Why a token is not good.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It won't do.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// It is on the blacklist, and the settings have us look there; SimpleJWT answers this in its own way.
    #[error("the token is on the blacklist")]
    OnTheBlacklist,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for VerifyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Signature, times, expiry and id; the blacklist only under `BLACKLIST_AFTER_ROTATION`, as SimpleJWT; and, where tokens
/// carry their session, that it is not over. The user is not looked at.
pub async fn verify(state: &AppState, context: &RequestContext, token: &str) -> Result<(), VerifyError> {
    let claims = state.judge(context, token, state.clock.now()).await?;
    claims.require_expiry_and_id()?;
    if state.tokens.config().blacklist_after_rotation {
        let jti = claims.jti()?.ok_or(TokenFault::NoId)?;
        let mut connection = state.database.acquire().await?;
        if is_blacklisted(&mut connection, &jti).await? {
            return Err(VerifyError::OnTheBlacklist);
        }
    }
    if state.sessions.tokens_carry_session()
        && let (UserClaim::Id(user), Some(session)) = (claims.user(), claims.session()?)
        && !state.standings.of(user, Some(session)).await?.session_active
    {
        return Err(TokenFault::Blacklisted.into());
    }
    Ok(())
}
