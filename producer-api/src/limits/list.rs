//! What is counted now, for operators.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::store;

/// The most that are listed.
const LISTED_MAX: i64 = 1_000;

/// A key with wrong secrets, or tries under way.
#[derive(Debug, Serialize)]
pub struct Limit {
    /// `account` or `address`.
    pub scope: String,
    /// The account's name, or the address or its /64; none for a name of nobody, which may be a mistyped password.
    pub subject: Option<String>,
    /// Wrong secrets, and tries under way.
    pub failures: i32,
    /// Since when.
    pub counted_from: DateTime<Utc>,
    /// When the last one was counted.
    pub tried_at: DateTime<Utc>,
    /// Until when none is looked at; none if nobody waits.
    pub locked_until: Option<DateTime<Utc>>,
}

/// The first thousand, those that wait longest first. Some may be old: a key is forgotten by its next try, or by the purge.
pub async fn list(database: &PgPool, now: DateTime<Utc>) -> Result<Vec<Limit>, sqlx::Error> {
    let mut connection = database.acquire().await?;
    let rows = store::list(&mut connection, LISTED_MAX).await?;
    let limits = rows.into_iter().map(|row| Limit {
        scope: row.kind,
        subject: row.subject,
        failures: row.failures,
        counted_from: row.counted_from,
        tried_at: row.tried_at,
        locked_until: row.locked_until.filter(|until| *until > now),
    });
    Ok(limits.collect())
}
