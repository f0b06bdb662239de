//! Blacklisting tokens: rows and events together, in the caller's transaction.

use chrono::{DateTime, Utc};
use shared::contracts::Origin;
use shared::contracts::auth::{BlacklistReason, TokenBlacklisted};
use shared::ids::{SessionId, UserId};
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::claims::{Claims, TokenFault, UserClaim};
use super::store;
use crate::fault::Fault;

/// Whose a token is, for its event.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The user, if there is one.
    pub user_id: Option<UserId>,
    /// His name.
    pub username: Option<String>,
    /// The token's session, if it has one.
    pub session_id: Option<SessionId>,
    /// The request.
    pub origin: Origin,
    /// Its trace.
    pub trace: TraceContext,
}

impl Holder {
    async fn tell(
        &self,
        connection: &mut PgConnection,
        outbox: &Outbox,
        jti: String,
        reason: BlacklistReason,
    ) -> Result<(), Fault> {
        let event = TokenBlacklisted {
            user_id: self.user_id,
            username: self.username.clone(),
            session_id: self.session_id,
            jti,
            reason,
            origin: self.origin.clone(),
        };
        outbox.append(connection, &self.trace, event).await?;
        Ok(())
    }
}

/// Refuses a token that is on the blacklist. A token without an id can't be on it; that it has none is said later.
pub async fn reject_blacklisted(
    connection: &mut PgConnection,
    claims: &Claims,
) -> Result<Result<(), TokenFault>, Fault> {
    let jti = match claims.jti() {
        Err(fault) => return Ok(Err(fault)),
        Ok(None) => return Ok(Ok(())),
        Ok(Some(jti)) => jti,
    };
    let blacklisted = store::is_blacklisted(connection, &jti).await?;
    Ok(if blacklisted { Err(TokenFault::Blacklisted) } else { Ok(()) })
}

/// Blacklists the token that was presented, recording it first if it was minted elsewhere. `false` if another request
/// did so at the same moment.
pub async fn blacklist_presented(
    connection: &mut PgConnection,
    outbox: &Outbox,
    claims: &Claims,
    jti: &str,
    holder: &Holder,
    at: DateTime<Utc>,
    reason: BlacklistReason,
) -> Result<bool, Fault> {
    let instant = |seconds| DateTime::from_timestamp(seconds, 0);
    let created_at = claims.issued_at().and_then(instant).unwrap_or(at);
    let expires_at = instant(claims.expires_at()).unwrap_or(at);
    let user = match claims.user() {
        UserClaim::Id(user) => Some(user),
        _ => None,
    };
    let token = store::record(connection, jti, user, holder.session_id, created_at, expires_at).await?;
    if !store::blacklist(connection, token, at, reason.as_str()).await? {
        return Ok(false);
    }
    holder.tell(connection, outbox, jti.to_owned(), reason).await?;
    Ok(true)
}

/// Blacklists every refresh token of a session that is still good.
pub async fn blacklist_session(
    connection: &mut PgConnection,
    outbox: &Outbox,
    session: SessionId,
    holder: &Holder,
    at: DateTime<Utc>,
    reason: BlacklistReason,
) -> Result<(), Fault> {
    for jti in store::blacklist_all_of(connection, session, at, reason.as_str()).await? {
        holder.tell(connection, outbox, jti, reason).await?;
    }
    Ok(())
}
