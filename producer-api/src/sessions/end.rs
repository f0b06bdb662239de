//! Ending sessions: the row, its tokens and the events, in the caller's transaction.

use chrono::{DateTime, Utc};
use shared::contracts::auth::{BlacklistReason, SessionEnd, SessionEnded};
use shared::ids::{SessionId, UserId};
use shared::outbox::Outbox;
use sqlx::PgConnection;

use super::store;
use crate::fault::Fault;
use crate::tokens::{Whose, blacklist_sessions};

/// How many sessions one statement ends: far from `statement_timeout`, however many a user has.
const PART_MAX: usize = 1_000;

/// An end that is due: why, when, and whom staff it is due to.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Why.
    pub reason: SessionEnd,
    /// When.
    pub at: DateTime<Utc>,
    /// The staff member who ends it.
    pub actor_id: Option<UserId>,
}

impl Ending {
    /// An end that nobody but the user himself, or a rule, brought about.
    pub fn by_rule(reason: SessionEnd, at: DateTime<Utc>) -> Self {
        Self { reason, at, actor_id: None }
    }

    fn blacklist_reason(self) -> BlacklistReason {
        match self.reason {
            SessionEnd::Replaced => BlacklistReason::Replaced,
            SessionEnd::Reuse => BlacklistReason::Reuse,
            SessionEnd::PasswordChanged | SessionEnd::PasswordReset => BlacklistReason::PasswordChanged,
            SessionEnd::Logout
            | SessionEnd::Expired
            | SessionEnd::AccountDisabled
            | SessionEnd::AccountDeleted
            | SessionEnd::UserRevoked
            | SessionEnd::StaffRevoked => BlacklistReason::Logout,
        }
    }
}

/// Ends `session` of `user` and blacklists its tokens that are good until now; `false` if it had ended before. The
/// caller holds the lock of the user's row.
pub(super) async fn end_session(
    connection: &mut PgConnection,
    outbox: &Outbox,
    user: (UserId, &str),
    session: SessionId,
    whose: &Whose,
    ending: Ending,
) -> Result<bool, Fault> {
    let ended = end_sessions(connection, outbox, user, &[session], whose, ending).await?;
    Ok(!ended.is_empty())
}

/// Ends those of `sessions` of `user` that are active, each as [`end_session`] does; gives them. First the ends are told,
/// then the tokens. The caller holds the lock of the user's row.
pub(super) async fn end_sessions(
    connection: &mut PgConnection,
    outbox: &Outbox,
    (user_id, username): (UserId, &str),
    sessions: &[SessionId],
    whose: &Whose,
    ending: Ending,
) -> Result<Vec<SessionId>, Fault> {
    let mut all_ended = Vec::new();
    for part in sessions.chunks(PART_MAX) {
        let ended = store::end(connection, part, ending.at, ending.reason.as_str()).await?;
        let events = ended.iter().map(|session| SessionEnded {
            user_id,
            username: username.to_owned(),
            session_id: *session,
            reason: ending.reason,
            actor_id: ending.actor_id,
            origin: whose.origin.clone(),
        });
        outbox.append_all(connection, &whose.trace, events).await?;
        blacklist_sessions(connection, outbox, &ended, whose, ending.at, ending.blacklist_reason()).await?;
        all_ended.extend(ended);
    }
    Ok(all_ended)
}

/// Ends every active session of a user. The caller holds the lock of his row, and tells
/// [`Standings`](super::Standings) of them once they are committed.
pub async fn end_all_sessions(
    connection: &mut PgConnection,
    outbox: &Outbox,
    user: (UserId, &str),
    whose: &Whose,
    ending: Ending,
) -> Result<Vec<SessionId>, Fault> {
    let sessions = store::active_ids(connection, user.0).await?;
    end_sessions(connection, outbox, user, &sessions, whose, ending).await
}
