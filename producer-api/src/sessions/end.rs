//! Ending a session: the row, its refresh tokens and the events, in the caller's transaction.

use chrono::{DateTime, Utc};
use shared::contracts::auth::{BlacklistReason, SessionEnd, SessionEnded};
use shared::ids::{SessionId, UserId};
use shared::outbox::Outbox;
use sqlx::PgConnection;

use super::store;
use crate::fault::Fault;
use crate::tokens::{Holder, blacklist_session};

/// Ends `session` and blacklists its tokens that are good until now; `false` if it had ended before. The caller holds
/// the lock of the user's row.
pub(super) async fn end_session(
    connection: &mut PgConnection,
    outbox: &Outbox,
    user: (UserId, &str),
    session: SessionId,
    holder: &Holder,
    at: DateTime<Utc>,
    reason: SessionEnd,
) -> Result<bool, Fault> {
    if !store::end(connection, session, at, reason.as_str()).await? {
        return Ok(false);
    }
    let (user_id, username) = user;
    let event = SessionEnded {
        user_id,
        username: username.to_owned(),
        session_id: session,
        reason,
        actor_id: None,
        origin: holder.origin.clone(),
    };
    outbox.append(connection, &holder.trace, event).await?;
    let reason = match reason {
        SessionEnd::Replaced => BlacklistReason::Replaced,
        SessionEnd::Reuse => BlacklistReason::Reuse,
        SessionEnd::PasswordChanged => BlacklistReason::PasswordChanged,
        SessionEnd::Logout
        | SessionEnd::Expired
        | SessionEnd::AccountDisabled
        | SessionEnd::UserRevoked
        | SessionEnd::StaffRevoked => BlacklistReason::Logout,
    };
    blacklist_session(connection, outbox, session, holder, at, reason).await?;
    Ok(true)
}
