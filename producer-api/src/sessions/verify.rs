//! Whether a token is good, whatever it is for.

use shared::ids::SessionId;

use super::store;
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
    let Some(session) = state.claimed_session(&claims)? else { return Ok(()) };
    if session_goes_on(state, claims.user(), session).await? {
        Ok(())
    } else {
        Err(TokenFault::Blacklisted.into())
    }
}

/// A token that names no user has no session that could be over.
async fn session_goes_on(state: &AppState, user: UserClaim, session: SessionId) -> Result<bool, sqlx::Error> {
    let user = match user {
        UserClaim::Id(user) => user,
        UserClaim::Name(name) => {
            let mut connection = state.database.acquire().await?;
            let Some(user) = store::id_of(&mut connection, &name).await? else { return Ok(false) };
            user
        }
        UserClaim::Absent | UserClaim::Null | UserClaim::Unusable => return Ok(true),
    };
    Ok(state.standings.of(user, Some(session)).await?.session_active)
}
