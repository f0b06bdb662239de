//! Blacklisting tokens: rows and events together, in the caller's transaction.

use chrono::{DateTime, Utc};
use shared::contracts::Origin;
use shared::contracts::auth::{BlacklistReason, TokenBlacklisted};
use shared::ids::{SessionId, UserId};
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::claims::{Claims, UserClaim};
use super::issuer::TokenIssuer;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;

/// How many tokens one statement blacklists or tells of: far from `statement_timeout`, however many a session has. One that
/// is refreshed every second has 86,400 in a day, where rotation blacklists none.
const PART_MAX: usize = 5_000;

/// Whose a token is, for its event.
#[derive(Debug, Clone)]
pub struct Whose {
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

impl Whose {
    /// A user's, whatever the session.
    pub fn of_user(user_id: UserId, username: &str, context: &RequestContext) -> Self {
        Self {
            user_id: Some(user_id),
            username: Some(username.to_owned()),
            session_id: None,
            origin: context.origin(),
            trace: context.trace,
        }
    }
}

/// Tells that a token is on the blacklist.
pub async fn tell_blacklisted(
    connection: &mut PgConnection,
    outbox: &Outbox,
    jti: String,
    whose: &Whose,
    reason: BlacklistReason,
) -> Result<(), Fault> {
    let event = TokenBlacklisted {
        user_id: whose.user_id,
        username: whose.username.clone(),
        session_id: whose.session_id,
        jti,
        reason,
        origin: whose.origin.clone(),
    };
    outbox.append(connection, &whose.trace, event).await?;
    Ok(())
}

/// Records the refresh token that was presented, in case that it was minted elsewhere. Gives its row's id.
pub async fn record_presented(
    connection: &mut PgConnection,
    issuer: &TokenIssuer,
    claims: &Claims,
    jti: &str,
    whose: &Whose,
    at: DateTime<Utc>,
) -> Result<i64, Fault> {
    let instant = |seconds| DateTime::from_timestamp(seconds, 0);
    let expires_at = instant(claims.expires_at()).unwrap_or(at);
    let user = match claims.user() {
        UserClaim::Id(user) => Some(user),
        _ => whose.user_id,
    };
    let row = store::Row {
        jti,
        user,
        session: whose.session_id,
        // Before 1970 nobody issued tokens, and PostgreSQL's calendar begins later than what a claim can hold.
        created_at: claims.issued_at().filter(|seconds| *seconds >= 0).and_then(instant).unwrap_or(at),
        expires_at,
        kept_until: issuer.kept_until(expires_at, None),
    };
    Ok(store::record(connection, &row).await?)
}

/// Blacklists the token that was presented. `false` if another request did so at the same moment.
pub async fn blacklist_presented(
    connection: &mut PgConnection,
    outbox: &Outbox,
    token: (i64, &str),
    whose: &Whose,
    at: DateTime<Utc>,
    reason: BlacklistReason,
) -> Result<bool, Fault> {
    let (id, jti) = token;
    if !store::blacklist(connection, id, at, reason.as_str()).await? {
        return Ok(false);
    }
    tell_blacklisted(connection, outbox, jti.to_owned(), whose, reason).await?;
    Ok(true)
}

/// Blacklists every refresh token of these sessions that is still good.
pub async fn blacklist_sessions(
    connection: &mut PgConnection,
    outbox: &Outbox,
    sessions: &[SessionId],
    whose: &Whose,
    at: DateTime<Utc>,
    reason: BlacklistReason,
) -> Result<(), Fault> {
    loop {
        let reason_text = reason.as_str();
        let part = store::blacklist_some_of(connection, sessions, at, reason_text, PART_MAX).await?;
        let is_last = part.len() < PART_MAX;
        let events = part.into_iter().filter(|token| token.blacklisted).map(|token| TokenBlacklisted {
            user_id: whose.user_id,
            username: whose.username.clone(),
            session_id: token.session_id,
            jti: token.jti,
            reason,
            origin: whose.origin.clone(),
        });
        outbox.append_all(connection, &whose.trace, events).await?;
        if is_last {
            return Ok(());
        }
    }
}
