//! The PostgreSQL database of a Django project, read in one read-only snapshot. Its tables are not ours, so their queries
//! are not checked when we are compiled.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use shared::config::Secret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::mpsc;

use super::json_file;
use super::record::{Entry, Model, Record, Token};
use super::source::ReadError;

const OUTSTANDING: &str = "token_blacklist_outstandingtoken";
const BLACKLISTED: &str = "token_blacklist_blacklistedtoken";

/// Reads the users and then, if SimpleJWT's blacklist is installed, the tokens that are still good at `now`.
pub(super) async fn read(
    url: &Secret,
    model: &Model,
    now: DateTime<Utc>,
    entries: &mpsc::Sender<Entry>,
) -> Result<(), ReadError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(ReadError::Database)?;
    let mut connection = PgConnection::connect_with(&options).await.map_err(ReadError::Database)?;
    let snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    let mut snapshot = snapshot.await.map_err(ReadError::Database)?;
    // Without USE_TZ Django keeps naive times; they are taken for UTC.
    sqlx::query("SET LOCAL TIME ZONE 'UTC'").execute(&mut *snapshot).await.map_err(ReadError::Database)?;
    let table = model.table();
    if !has_table(&mut snapshot, &table).await? {
        return Err(ReadError::NoTable(table));
    }
    read_users(&mut snapshot, model, entries).await?;
    if has_table(&mut snapshot, OUTSTANDING).await? && has_table(&mut snapshot, BLACKLISTED).await? {
        read_tokens(&mut snapshot, &table, now, entries).await?;
    }
    Ok(())
}

async fn has_table(connection: &mut PgConnection, table: &str) -> Result<bool, ReadError> {
    sqlx::query_scalar("SELECT to_regclass(quote_ident($1)) IS NOT NULL")
        .bind(table)
        .fetch_one(connection)
        .await
        .map_err(ReadError::Database)
}

/// As JSON, so that a project's own user model may have columns of any type; what the wrong ones hold is a matter of
/// one row. In the order of the ids, as `dumpdata` writes them: the first of several that have something in common gets it.
async fn read_users(
    connection: &mut PgConnection,
    model: &Model,
    entries: &mpsc::Sender<Entry>,
) -> Result<(), ReadError> {
    let query = format!(
        r#"
        SELECT json::text FROM (SELECT row_to_json(given) AS json FROM "{}" AS given) AS given
        ORDER BY CASE WHEN json->>'id' ~ '^[0-9]{{1,18}}$' THEN (json->>'id')::bigint END
        "#,
        model.table()
    );
    let mut rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).fetch(connection);
    let mut row = 1;
    while let Some(text) = rows.try_next().await.map_err(ReadError::Database)? {
        let entry = match serde_json::from_str(&text) {
            Ok(value) => json_file::entry(row, value, model),
            Err(_) => Entry::User(Record { row, fields: Err("it can't be read".to_owned()) }),
        };
        entries.send(entry).await.map_err(|_| ReadError::Unwanted)?;
        row += 1;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    jti: String,
    user_id: Option<i64>,
    username: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    blacklisted_at: Option<DateTime<Utc>>,
}

/// The column `token` holds the tokens themselves and is never read.
async fn read_tokens(
    connection: &mut PgConnection,
    users: &str,
    now: DateTime<Utc>,
    entries: &mpsc::Sender<Entry>,
) -> Result<(), ReadError> {
    let query = format!(
        r#"
        SELECT given.jti,
            CASE WHEN owner.id::text ~ '^[0-9]{{1,18}}$' THEN owner.id::text::bigint END AS user_id,
            owner.username::text AS username,
            COALESCE(given.created_at::timestamptz, $1) AS created_at,
            given.expires_at::timestamptz AS expires_at,
            ended.blacklisted_at::timestamptz AS blacklisted_at
        FROM {OUTSTANDING} AS given
        LEFT JOIN "{users}" AS owner ON owner.id = given.user_id
        LEFT JOIN {BLACKLISTED} AS ended ON ended.token_id = given.id
        WHERE given.expires_at::timestamptz > $1 AND isfinite(given.expires_at) AND given.jti <> ''
        "#
    );
    let mut rows = sqlx::query_as::<_, TokenRow>(AssertSqlSafe(query)).bind(now).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(ReadError::Database)? {
        let TokenRow { jti, user_id, username, created_at, expires_at, blacklisted_at } = row;
        let token = Token { jti, user_id, username, created_at, expires_at, blacklisted_at };
        entries.send(Entry::Token(token)).await.map_err(|_| ReadError::Unwanted)?;
    }
    Ok(())
}
