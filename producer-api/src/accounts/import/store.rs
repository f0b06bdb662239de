//! SQL over accounts and tokens that are imported, a batch at a time.

use chrono::{DateTime, TimeDelta, Utc};
use shared::ids::UserId;
use sqlx::{PgConnection, PgPool};

use super::record::Token;
use super::user::ImportedUser;

/// How long the row of an imported token is kept past its expiry: longer than any leeway under which it could come back.
const TOKEN_KEPT_AFTER_EXPIRY: TimeDelta = TimeDelta::days(1);

/// An account that is here, as far as a row can collide with it or say the same.
pub(super) struct Present {
    pub(super) id: UserId,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) email_verified: bool,
    pub(super) is_active: bool,
}

/// An account that was made or changed.
pub(super) struct Written {
    pub(super) id: UserId,
    pub(super) username: String,
}

/// The accounts that have one of these names or ids.
pub(super) async fn find_present(
    connection: &mut PgConnection,
    usernames: &[String],
    ids: &[i64],
) -> Result<Vec<Present>, sqlx::Error> {
    sqlx::query_as!(
        Present,
        r#"
        SELECT id AS "id: UserId", username, email, email_verified_at IS NOT NULL AS "email_verified!", is_active
        FROM users
        WHERE username = ANY($1) OR id = ANY($2)
        "#,
        usernames,
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Makes sure that the next account that is registered gets an id beyond `id`. Commits at once and before the rows are
/// written, so that a registration meanwhile never draws one of their ids; a batch that fails leaves a gap, no harm.
pub(super) async fn move_sequence_past(database: &PgPool, id: i64) -> Result<(), sqlx::Error> {
    if !is_sequence_behind(&mut *database.acquire().await?, id).await? {
        return Ok(());
    }
    let mut transaction = database.begin().await?;
    // Nobody may draw an id between the look and the move, or the sequence would be set back.
    sqlx::query!("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
    if is_sequence_behind(&mut transaction, id).await? {
        sqlx::query!("SELECT setval(pg_get_serial_sequence('users', 'id'), $1)", id)
            .fetch_one(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn is_sequence_behind(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END < $1 AS "behind!" FROM users_id_seq"#,
        id,
    )
    .fetch_one(connection)
    .await
}

/// Makes accounts, with their own ids where they have one; gives those that were made. One that somebody made meanwhile
/// is left out.
pub(super) async fn insert_users(
    connection: &mut PgConnection,
    users: &[&ImportedUser],
) -> Result<Vec<Written>, sqlx::Error> {
    let column = |value: fn(&ImportedUser) -> &String| {
        users.iter().map(|user| value(user).clone()).collect::<Vec<_>>()
    };
    let flags = |value: fn(&ImportedUser) -> bool| users.iter().map(|user| value(user)).collect::<Vec<_>>();
    let ids: Vec<Option<i64>> = users.iter().map(|user| user.id).collect();
    let joined: Vec<DateTime<Utc>> = users.iter().map(|user| user.date_joined).collect();
    let logged_in: Vec<Option<DateTime<Utc>>> = users.iter().map(|user| user.last_login).collect();
    sqlx::query_as!(
        Written,
        r#"
        INSERT INTO users (
            id, username, email, password, is_active, is_staff, is_superuser, date_joined, last_login, first_name, last_name
        )
        OVERRIDING SYSTEM VALUE
        SELECT COALESCE(given.id, nextval(pg_get_serial_sequence('users', 'id'))), username, email, password,
            is_active, is_staff, is_superuser, date_joined, last_login, first_name, last_name
        FROM UNNEST(
            $1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::boolean[],
            $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[]
        ) AS given (
            id, username, email, password, is_active, is_staff, is_superuser, date_joined, last_login, first_name, last_name
        )
        ON CONFLICT DO NOTHING
        RETURNING id AS "id: UserId", username
        "#,
        &ids as &[Option<i64>],
        &column(|user| &user.username),
        &column(|user| &user.email),
        &column(|user| &user.password),
        &flags(|user| user.is_active),
        &flags(|user| user.is_staff),
        &flags(|user| user.is_superuser),
        &joined,
        &logged_in as &[Option<DateTime<Utc>>],
        &column(|user| &user.first_name),
        &column(|user| &user.last_name),
    )
    .fetch_all(connection)
    .await
}

/// An address as accounts compare it.
pub(super) struct Address {
    /// In small letters, as the database writes them.
    pub(super) key: String,
    /// Whether an account has it verified.
    pub(super) verified: bool,
}

/// These addresses, in their order.
pub(super) async fn addresses(
    connection: &mut PgConnection,
    emails: &[String],
) -> Result<Vec<Address>, sqlx::Error> {
    sqlx::query_as!(
        Address,
        r#"
        SELECT lower(given.email) AS "key!", EXISTS (
            SELECT FROM users WHERE lower(users.email) = lower(given.email) AND email_verified_at IS NOT NULL
        ) AS "verified!"
        FROM UNNEST($1::text[]) WITH ORDINALITY AS given (email, place)
        ORDER BY given.place
        "#,
        emails,
    )
    .fetch_all(connection)
    .await
}

/// Marks the addresses of accounts as verified, if they have them still; gives those accounts.
pub(super) async fn mark_verified(
    connection: &mut PgConnection,
    usernames: &[String],
    emails: &[String],
    at: DateTime<Utc>,
) -> Result<Vec<Written>, sqlx::Error> {
    sqlx::query_as!(
        Written,
        r#"
        UPDATE users SET email_verified_at = $3
        FROM UNNEST($1::text[], $2::text[]) AS given (username, email)
        WHERE users.username = given.username AND users.email = given.email AND email_verified_at IS NULL
        RETURNING users.id AS "id: UserId", users.username
        "#,
        usernames,
        emails,
        at,
    )
    .fetch_all(connection)
    .await
}

/// Enters tokens that are not there yet, each under its user if that very user is here; how many were new.
pub(super) async fn insert_tokens(
    connection: &mut PgConnection,
    tokens: &[Token],
) -> Result<u64, sqlx::Error> {
    let jtis: Vec<String> = tokens.iter().map(|token| token.jti.clone()).collect();
    let user_ids: Vec<Option<i64>> = tokens.iter().map(|token| token.user_id).collect();
    let usernames: Vec<Option<String>> = tokens.iter().map(|token| token.username.clone()).collect();
    let created: Vec<DateTime<Utc>> = tokens.iter().map(|token| token.created_at).collect();
    let expires: Vec<DateTime<Utc>> = tokens.iter().map(|token| token.expires_at).collect();
    let kept: Vec<DateTime<Utc>> = expires
        .iter()
        .map(|expires| expires.checked_add_signed(TOKEN_KEPT_AFTER_EXPIRY).unwrap_or(*expires))
        .collect();
    let inserted = sqlx::query!(
        r#"
        INSERT INTO outstanding_tokens (jti, user_id, created_at, expires_at, kept_until)
        SELECT given.jti, users.id, given.created_at, given.expires_at, given.kept_until
        FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
            AS given (jti, user_id, username, created_at, expires_at, kept_until)
        LEFT JOIN users ON users.id = given.user_id AND users.username = given.username
        ON CONFLICT (jti) DO NOTHING
        "#,
        &jtis,
        &user_ids as &[Option<i64>],
        &usernames as &[Option<String>],
        &created,
        &expires,
        &kept,
    );
    Ok(inserted.execute(connection).await?.rows_affected())
}

/// Blacklists those of the tokens that Django has blacklisted; how many were not yet.
pub(super) async fn blacklist_tokens(
    connection: &mut PgConnection,
    tokens: &[Token],
) -> Result<u64, sqlx::Error> {
    let blacklisted = tokens.iter().filter_map(|token| Some((token.jti.clone(), token.blacklisted_at?)));
    let (jtis, instants): (Vec<String>, Vec<DateTime<Utc>>) = blacklisted.unzip();
    let inserted = sqlx::query!(
        r#"
        INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason)
        SELECT outstanding_tokens.id, given.blacklisted_at, 'blacklisted'
        FROM UNNEST($1::text[], $2::timestamptz[]) AS given (jti, blacklisted_at)
        JOIN outstanding_tokens USING (jti)
        ON CONFLICT (token_id) DO NOTHING
        "#,
        &jtis,
        &instants,
    );
    Ok(inserted.execute(connection).await?.rows_affected())
}
