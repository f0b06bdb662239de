//! Renewing a sliding token: the same token with a later expiry, until its refresh expiry is over.

use super::presented::{Lock, Presented};
use super::renewing::{RefreshError, require_renewable, tell_renewed};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{TokenKind, extend_outstanding};

/// Gives the token anew. The one presented stays good until its own expiry.
pub async fn slide(state: &AppState, context: &RequestContext, token: &str) -> Result<String, RefreshError> {
    let now = state.clock.now();
    let claims = state.judge(context, token, now).await?;
    let mut transaction = state.database.begin().await?;
    let presented =
        Presented::look_up(state, &mut transaction, &claims, Lock::to_renew(state, &claims)).await?;
    let jti = presented.require(TokenKind::Sliding)?;
    let (mut transaction, renewable) =
        require_renewable(state, context, transaction, &presented, jti, now).await?;
    if state.tokens.is_over(claims.refreshable_until()?, now) {
        return Err(claims.refresh_expired().into());
    }
    let session_end = renewable.session_end();
    let (renewed, expires_at) = state.tokens.slid(&claims, now, session_end).map_err(Fault::from)?;
    let kept_until = state.tokens.kept_until(expires_at, session_end);
    extend_outstanding(&mut transaction, jti, expires_at, kept_until).await?;
    tell_renewed(state, context, transaction, renewable, jti).await?;
    Ok(renewed)
}
