//! The trail's SQL.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{AuditEntry, Candidate, SetAside};

/// Records entries; those whose key is there already are left as they are. Gives how many are new.
///
/// Sorted by key: two consumers with the same messages in hand wait for each other instead of deadlocking.
pub(crate) async fn insert_entries(
    connection: &mut PgConnection,
    candidates: &[Candidate<'_>],
) -> Result<u64, sqlx::Error> {
    if candidates.is_empty() {
        return Ok(0);
    }
    let columns = Columns::of(candidates.iter().map(|candidate| &candidate.entry));
    let done = sqlx::query!(
        r#"
        INSERT INTO audit.events (
            event_id, type, occurred_at, sequence, user_id, username, session_id, jti, ip, user_agent, outcome,
            reason, request_id, trace_id, body
        )
        SELECT *
        FROM UNNEST(
            $1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::text[], $7::uuid[],
            $8::text[], $9::inet[], $10::text[], $11::text[], $12::text[], $13::uuid[], $14::text[], $15::text[]
        ) AS entry (
            event_id, type, occurred_at, sequence, user_id, username, session_id, jti, ip, user_agent, outcome,
            reason, request_id, trace_id, body
        )
        ORDER BY event_id
        ON CONFLICT DO NOTHING
        "#,
        &columns.event_id,
        columns.event_type as _,
        &columns.occurred_at,
        columns.sequence as _,
        columns.user_id as _,
        columns.username as _,
        columns.session_id as _,
        columns.jti as _,
        columns.ip as _,
        columns.user_agent as _,
        columns.outcome as _,
        columns.reason as _,
        columns.request_id as _,
        columns.trace_id as _,
        columns.body as _,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// The places of those whose id the trail has with another body: they are not the same messages.
pub(crate) async fn with_other_bodies(
    connection: &mut PgConnection,
    candidates: &[Candidate<'_>],
) -> Result<Vec<usize>, sqlx::Error> {
    let columns = Columns::of(candidates.iter().map(|candidate| &candidate.entry));
    let places = sqlx::query_scalar!(
        r#"
        SELECT candidate.place AS "place!"
        FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS candidate (event_id, body, place)
        -- The limit keeps the lookup one by the key: without it the whole trail might be hashed.
        CROSS JOIN LATERAL (
            SELECT events.body FROM audit.events WHERE events.event_id = candidate.event_id LIMIT 1
        ) AS recorded
        WHERE recorded.body <> candidate.body
        ORDER BY candidate.place
        "#,
        &columns.event_id,
        columns.body as _,
    );
    let places = places.fetch_all(connection).await?;
    Ok(places.into_iter().filter_map(|place| usize::try_from(place - 1).ok()).collect())
}

/// Keeps messages in quarantine; those that lie there already are left as they are. Gives how many are new.
pub(super) async fn insert_quarantined(
    connection: &mut PgConnection,
    set_aside: &[SetAside<'_>],
) -> Result<u64, sqlx::Error> {
    if set_aside.is_empty() {
        return Ok(0);
    }
    let message_ids: Vec<&[u8]> =
        set_aside.iter().map(|one| one.message.message_id.unwrap_or_default().as_bytes()).collect();
    let raw: Vec<&[u8]> = set_aside.iter().map(|one| one.message.body).collect();
    let properties: Vec<_> = set_aside.iter().map(|one| one.message.properties()).collect();
    let reasons: Vec<String> = set_aside.iter().map(|one| one.reason.replace('\0', "\u{fffd}")).collect();
    let done = sqlx::query!(
        r#"
        INSERT INTO audit.quarantine (digest, raw, properties, reason)
        SELECT sha256(message_id || raw) AS digest, raw, properties, reason
        FROM UNNEST($1::bytea[], $2::bytea[], $3::jsonb[], $4::text[])
            AS message (message_id, raw, properties, reason)
        ORDER BY digest
        ON CONFLICT DO NOTHING
        "#,
        message_ids as _,
        raw as _,
        &properties,
        &reasons,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Makes the partitions that are missing up to `months_ahead` months from now. Gives how many it made.
pub(super) async fn make_partitions(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    months_ahead: i32,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT audit.make_partitions($1, $2) AS "made!""#, now, months_ahead)
        .fetch_one(connection)
        .await
}

/// How many messages lie in quarantine, and how many rows in the partition of no month; counted up to `max` each.
pub(super) async fn count_what_should_be_empty(
    connection: &mut PgConnection,
    max: i64,
) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM audit.quarantine LIMIT $1) AS head) AS "quarantined!",
            (SELECT count(*) FROM (SELECT FROM audit.events_default LIMIT $1) AS head) AS "misplaced!"
        "#,
        max,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.quarantined, row.misplaced))
}

/// The entries as PostgreSQL takes them: one array a column.
#[derive(Debug, Default)]
struct Columns<'a> {
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    occurred_at: Vec<DateTime<Utc>>,
    sequence: Vec<Option<i64>>,
    user_id: Vec<Option<i64>>,
    username: Vec<Option<&'a str>>,
    session_id: Vec<Option<Uuid>>,
    jti: Vec<Option<&'a str>>,
    ip: Vec<Option<IpNetwork>>,
    user_agent: Vec<Option<&'a str>>,
    outcome: Vec<&'a str>,
    reason: Vec<Option<&'a str>>,
    request_id: Vec<Option<Uuid>>,
    trace_id: Vec<Option<&'a str>>,
    body: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(entries: impl Iterator<Item = &'a AuditEntry<'a>>) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            columns.event_id.push(entry.event_id.0);
            columns.event_type.push(&entry.event_type);
            columns.occurred_at.push(entry.occurred_at);
            columns.sequence.push(entry.sequence);
            columns.user_id.push(entry.user_id);
            columns.username.push(entry.username.as_deref());
            columns.session_id.push(entry.session_id);
            columns.jti.push(entry.jti.as_deref());
            columns.ip.push(entry.ip);
            columns.user_agent.push(entry.user_agent.as_deref());
            columns.outcome.push(entry.outcome.as_str());
            columns.reason.push(entry.reason.as_deref());
            columns.request_id.push(entry.request_id);
            columns.trace_id.push(entry.trace_id.as_deref());
            columns.body.push(entry.body);
        }
        columns
    }
}
