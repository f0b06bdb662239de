//! All tasks of all users, in the order of their ids: for operators.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::ids::{TaskId, UserId};
use sqlx::PgPool;

use super::store;

/// A task and whose it is.
#[derive(Debug, Clone, Serialize)]
pub struct WalkedTask {
    /// Which.
    pub id: TaskId,
    /// Whose.
    pub user_id: UserId,
    /// His name.
    pub username: String,
    /// What is to be done.
    pub title: String,
    /// How long it takes, as clients see it.
    pub duration: String,
    /// Counts its changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The tasks behind `after`, at most `limit`. Those that are made meanwhile come at the end.
pub async fn walk(database: &PgPool, after: TaskId, limit: u16) -> Result<Vec<WalkedTask>, sqlx::Error> {
    let mut connection = database.acquire().await?;
    store::behind(&mut connection, after, i64::from(limit)).await
}

/// How many tasks are behind `after` now.
pub async fn count_behind(database: &PgPool, after: TaskId) -> Result<u64, sqlx::Error> {
    let mut connection = database.acquire().await?;
    store::count_behind(&mut connection, after).await
}
