//! SQL over counts of wrong secrets and of mails.
//!
//! Whoever locks several locks them in the order of their kinds, so nobody waits in a circle.

use chrono::{DateTime, Utc};
use shared::ids::UserId;
use sqlx::PgConnection;

use super::keys::Key;
use super::rule::Count;

/// A count as it is stored.
#[derive(Debug)]
struct Row {
    kind: String,
    key: Vec<u8>,
    failures: i32,
    counted_from: DateTime<Utc>,
    tried_at: DateTime<Utc>,
    locked_until: Option<DateTime<Utc>>,
}

impl Row {
    fn count(&self) -> Count {
        Count {
            failures: u32::try_from(self.failures).unwrap_or(0),
            counted_from: self.counted_from,
            tried_at: self.tried_at,
            locked_until: self.locked_until,
        }
    }
}

fn columns(keys: &[&Key]) -> (Vec<String>, Vec<Vec<u8>>) {
    keys.iter().map(|key| (key.kind.as_str().to_owned(), key.digest.to_vec())).unzip()
}

/// Makes the rows that are missing, empty. What is there is left as it is.
pub(super) async fn insert_missing(
    connection: &mut PgConnection,
    keys: &[&Key],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (kinds, digests) = columns(keys);
    sqlx::query!(
        r#"
        INSERT INTO login_limits (kind, key, failures, counted_from, tried_at)
        SELECT kind, key, 0, $3, $3
        FROM UNNEST($1::text[], $2::bytea[]) AS given (kind, key)
        ORDER BY kind
        ON CONFLICT (kind, key) DO NOTHING
        "#,
        &kinds,
        &digests,
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The rows of the keys, and what else is done to them: sqlx checks statements that are literals alone.
macro_rules! select_counts {
    ($keys:expr, $what_else:literal) => {{
        let (kinds, digests) = columns($keys);
        sqlx::query_as!(
            Row,
            r#"
            SELECT kind, key, failures, counted_from, tried_at, locked_until FROM login_limits
            WHERE (kind, key) IN (SELECT given.kind, given.key FROM UNNEST($1::text[], $2::bytea[]) AS given (kind, key))
            ORDER BY kind
            "# + $what_else,
            &kinds,
            &digests,
        )
    }};
}

/// Reads the rows of the keys; in their order, none where there is no row.
pub(super) async fn read(
    connection: &mut PgConnection,
    keys: &[&Key],
) -> Result<Vec<Option<Count>>, sqlx::Error> {
    select_counts!(keys, "").fetch_all(connection).await.map(|rows| in_order(keys, &rows))
}

/// Locks the rows of the keys; in their order, none where there is no row.
pub(super) async fn lock(
    connection: &mut PgConnection,
    keys: &[&Key],
) -> Result<Vec<Option<Count>>, sqlx::Error> {
    select_counts!(keys, "FOR UPDATE").fetch_all(connection).await.map(|rows| in_order(keys, &rows))
}

fn in_order(keys: &[&Key], rows: &[Row]) -> Vec<Option<Count>> {
    let of = |key: &&Key| rows.iter().find(|row| row.kind == key.kind.as_str() && row.key == key.digest);
    keys.iter().map(|key| of(key).map(Row::count)).collect()
}

/// Writes the counts of rows that the caller has locked.
pub(super) async fn write(
    connection: &mut PgConnection,
    counts: &[(&Key, Count)],
) -> Result<(), sqlx::Error> {
    let keys: Vec<&Key> = counts.iter().map(|(key, _)| *key).collect();
    let (kinds, digests) = columns(&keys);
    let subjects: Vec<Option<String>> = keys.iter().map(|key| key.subject.clone()).collect();
    let failures: Vec<i32> =
        counts.iter().map(|(_, count)| i32::try_from(count.failures).unwrap_or(i32::MAX)).collect();
    let counted_from: Vec<DateTime<Utc>> = counts.iter().map(|(_, count)| count.counted_from).collect();
    let tried_at: Vec<DateTime<Utc>> = counts.iter().map(|(_, count)| count.tried_at).collect();
    let locked_until: Vec<Option<DateTime<Utc>>> =
        counts.iter().map(|(_, count)| count.locked_until).collect();
    sqlx::query!(
        r#"
        UPDATE login_limits AS stored
        SET subject = given.subject, failures = given.failures, counted_from = given.counted_from,
            tried_at = given.tried_at, locked_until = given.locked_until
        FROM UNNEST(
            $1::text[], $2::bytea[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[]
        ) AS given (kind, key, subject, failures, counted_from, tried_at, locked_until)
        WHERE stored.kind = given.kind AND stored.key = given.key
        "#,
        &kinds,
        &digests,
        &subjects as &[Option<String>],
        &failures,
        &counted_from,
        &tried_at,
        &locked_until as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// A count as operators see it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    pub(super) failures: i32,
    pub(super) counted_from: DateTime<Utc>,
    pub(super) tried_at: DateTime<Utc>,
    pub(super) locked_until: Option<DateTime<Utc>>,
}

/// Every count that something was wrong in, and whoever has to wait for asking for mails; those that wait longest first.
pub(super) async fn list(connection: &mut PgConnection, limit: i64) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"
        SELECT kind, subject, failures, counted_from, tried_at, locked_until FROM login_limits
        -- Everybody who registers asks for a mail.
        WHERE failures > 0 AND (kind IN ('account', 'address') OR locked_until IS NOT NULL)
        ORDER BY locked_until DESC NULLS LAST, failures DESC, tried_at DESC
        LIMIT $1
        "#,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Forgets a key; whether there was anything to forget.
pub(super) async fn delete(connection: &mut PgConnection, key: &Key) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM login_limits WHERE kind = $1 AND key = $2 RETURNING failures",
        key.kind.as_str(),
        &key.digest[..],
    )
    .fetch_optional(connection)
    .await?;
    Ok(deleted.is_some_and(|row| row.failures > 0))
}

/// A key that was forgotten, and whose it was.
#[derive(Debug)]
pub(super) struct Deleted {
    pub(super) of_secrets: bool,
    pub(super) user_id: Option<UserId>,
    pub(super) username: Option<String>,
    pub(super) failures: i32,
}

/// Forgets keys, at most `limit`.
pub(super) async fn delete_any(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Deleted>, sqlx::Error> {
    sqlx::query_as!(
        Deleted,
        r#"
        WITH picked AS (
            SELECT kind, key FROM login_limits ORDER BY kind, key LIMIT $1 FOR UPDATE SKIP LOCKED
        ),
        deleted AS (
            DELETE FROM login_limits WHERE (kind, key) IN (SELECT kind, key FROM picked)
            RETURNING kind, subject, failures
        )
        SELECT deleted.kind IN ('account', 'address') AS "of_secrets!", users.id AS "user_id?: UserId", users.username AS "username?", deleted.failures AS "failures!"
        FROM deleted LEFT JOIN users ON deleted.kind = 'account' AND users.username = deleted.subject
        "#,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Takes the lock that a login takes, of the account that has a name.
pub(super) async fn lock_user(
    connection: &mut PgConnection,
    username: &str,
) -> Result<Option<UserId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT id AS "id: UserId" FROM users WHERE username = $1 FOR NO KEY UPDATE"#,
        username
    )
    .fetch_optional(connection)
    .await
}
