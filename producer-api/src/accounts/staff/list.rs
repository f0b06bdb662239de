//! Accounts, page by page.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::ids::UserId;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::store;

/// An account as staff and operators see it; its password is nobody's business.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "Django's columns, as clients know them")]
pub struct User {
    /// Its id.
    #[schema(value_type = i64)]
    pub id: UserId,
    /// Its name.
    pub username: String,
    /// Its address.
    pub email: String,
    /// What the user is called.
    pub first_name: String,
    /// What his family is called.
    pub last_name: String,
    /// Whether it can be used.
    pub is_active: bool,
    /// Whether it may see other accounts.
    pub is_staff: bool,
    /// Whether it may do everything.
    pub is_superuser: bool,
    /// Whether its address was proved.
    pub email_verified: bool,
    /// Since when it is there.
    pub date_joined: DateTime<Utc>,
    /// The last login, if the settings keep it.
    #[schema(required)]
    pub last_login: Option<DateTime<Utc>>,
}

/// Accounts in the order of their ids.
#[derive(Debug)]
pub struct Page {
    /// They.
    pub users: Vec<User>,
    /// Behind which the next page begins; none if this is the last.
    pub next: Option<UserId>,
}

/// At most `limit` accounts, from behind `after` on. What is made or deleted meanwhile moves no other account to another
/// page.
pub async fn list_users(database: &PgPool, after: Option<UserId>, limit: u16) -> Result<Page, sqlx::Error> {
    let mut connection = database.acquire().await?;
    let mut users = store::list(&mut connection, after, i64::from(limit) + 1).await?;
    let more = users.len() > usize::from(limit);
    users.truncate(usize::from(limit));
    let next = users.last().filter(|_| more).map(|user| user.id);
    Ok(Page { users, next })
}

/// One account.
pub async fn find_user(database: &PgPool, user: UserId) -> Result<Option<User>, sqlx::Error> {
    let mut connection = database.acquire().await?;
    store::find(&mut connection, user).await
}
