//! Listing a user's active sessions.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};

use super::store;
use crate::fault::Fault;
use crate::state::AppState;

/// The most that are listed; under `unlimited` a user may have any number.
/// How many are listed at the most.
pub const LISTED_MAX: i64 = 200;

/// An active session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Since when.
    pub login_time: DateTime<Utc>,
    /// From where it was begun.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
}

/// The newest active sessions of a user, newest first, 200 at the most.
pub async fn list_sessions(state: &AppState, user: UserId) -> Result<Vec<Session>, Fault> {
    let mut connection = state.database.acquire().await?;
    let rows = store::list_active(&mut connection, user, LISTED_MAX).await?;
    let sessions = rows.into_iter().map(|row| Session {
        id: row.id,
        user_id: row.user_id,
        login_time: row.login_time,
        ip: row.ip.map(|ip| ip.ip()),
        user_agent: row.user_agent,
    });
    Ok(sessions.collect())
}
