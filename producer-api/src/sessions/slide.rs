//! Renewing a sliding token: the same token with a later expiry, until its refresh expiry is over.

use shared::contracts::auth::TokenRefreshed;

use super::presented::{Lock, Presented, UserFault};
use super::refresh::{RefreshError, refuse_old_password};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tokens::{TokenKind, extend_outstanding};

/// Gives the token anew. The one presented stays good until its own expiry.
pub async fn slide(state: &AppState, context: &RequestContext, token: &str) -> Result<String, RefreshError> {
    let now = state.clock.now();
    let claims = state.judge(context, token, now).await?;
    let mut transaction = state.database.begin().await?;
    let presented = Presented::look_up(state, &mut transaction, &claims, Lock::Nothing).await?;
    let jti = presented.require(TokenKind::Sliding)?;
    let user = match presented.require_user(state.tokens.config()) {
        Ok(user) => user.map(|user| (user.id, user.username.clone())),
        Err(UserFault::PasswordChanged) => {
            refuse_old_password(state, context, transaction, &presented, jti).await?;
            return Err(RefreshError::PasswordChanged);
        }
        Err(fault) => return Err(fault.into()),
    };
    let session = presented.require_session(&mut transaction).await??;
    if state.tokens.is_over(claims.refreshable_until()?, now) {
        return Err(claims.refresh_expired().into());
    }
    let (renewed, expires_at) = state.tokens.slid(&claims, now).map_err(Fault::from)?;
    let kept_until = state.tokens.kept_until(expires_at);
    extend_outstanding(&mut transaction, jti, expires_at, kept_until).await?;
    let (user_id, username) = user.unzip();
    let origin = context.origin();
    let event = TokenRefreshed { user_id, username, session_id: session, jti: jti.to_owned(), origin };
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(renewed)
}
